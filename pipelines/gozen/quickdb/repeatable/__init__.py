"""Whether the same call of a user's function gives the same result, so that it may be kept: a positive list."""

from gozen.quickdb.repeatable.judging import why_not_kept

__all__ = ["why_not_kept"]
