"""One user's account as an entry of the Secret with all accounts. No I/O."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class KeptAccount(BaseModel):
    """An account at a Nextcloud server, as labs send it and get it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = Field(min_length=1, max_length=2000, pattern=r"^https?://\S+$")
    user: str = Field(min_length=1, max_length=255)
    user_id: str = Field("", max_length=255)
    password: str = Field(min_length=1, max_length=512)
    insecure: bool = False


def key_of(user: str) -> str:
    """Return the key of a user's entry: names of users may have characters that a key must not have."""
    return hashlib.sha256(user.encode()).hexdigest()


def entry_of(user: str, account: KeptAccount) -> str:
    """Return the value of an entry in the form of a Secret's data."""
    return base64.b64encode(json.dumps({"of": user, **account.model_dump()}).encode()).decode()


def account_in(user: str, value: str | None) -> KeptAccount | None:
    """Return the account in the value of an entry; None if there is none, or if it belongs to another user."""
    try:
        found: dict[str, Any] = json.loads(base64.b64decode(value or ""))
        return KeptAccount.model_validate(found) if found.pop("of", None) == user else None
    except (ValueError, AttributeError, TypeError, ValidationError):
        return None
