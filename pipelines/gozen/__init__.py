"""Gozen: from the raw frames of a camera that films the sky to light curves that can be searched.

The modules stand in the order in which data flows (see ``docs/reference``): importing this package imports none of
them, so that ``import gozen`` costs nothing in a notebook.
"""

__version__ = "0.1.0"
