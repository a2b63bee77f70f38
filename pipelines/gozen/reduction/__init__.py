"""One cube through the pipelines that are asked for: ``wcs``, ``stack``, ``neo``, ``cube``; many sensors at once."""
