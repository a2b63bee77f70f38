"""One sensor's cube through the pipelines that its recipe names: ``wcs``, ``stack``, ``cube``; and many at once."""
