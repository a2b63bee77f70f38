"""Raw pixels to calibrated ones: the compiled pass, and the dark, bias and flat masters that it needs."""
