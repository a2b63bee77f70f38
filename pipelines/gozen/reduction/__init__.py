"""Reduce one sensor's exposure with its pipelines (``wcs``, ``stack``, ``neo``, ``cube``), or many sensors."""
