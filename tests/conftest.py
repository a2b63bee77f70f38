"""What all tests share: properties are not held against the clock of a busy machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("gozen", deadline=None)
settings.load_profile("gozen")
