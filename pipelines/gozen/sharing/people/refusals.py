"""Explain why the server refused a share: the file, the server's words, and what to do. No I/O.

The words of the server are in the language of its user, so they are shown but not interpreted. The reason is derived
from the request and from the rules that the server reports.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Sequence

from gozen.errors import CloudFileLocked, CloudPathNotFound, CloudRefused, SharingError
from gozen.sharing.capabilities import Capabilities
from gozen.sharing.ocs_answers import OcsRefusal
from gozen.sharing.people.share_requests import LinkWish

_MOST_NAMES = 3
_ALIKE = 0.5
_SWITCHED_OFF = "sharing is switched off at this server: ask its administrator"
_GIVE_ANOTHER = "give another password; --new-password makes a strong one"
_ASK = "ask the owner of the file, or the administrator of the server"
_LOCKED = "it may be locked by a transfer or an editor: wait, then run again"


def no_such_path(path: str, refusal: OcsRefusal, doing: str = "share") -> CloudPathNotFound:
    """Return the error for a path that does not exist."""
    return CloudPathNotFound(
        f"cannot {doing} {path}: {refusal.said}; upload it first, or write its path from the top of your cloud"
    )


def path_refused(path: str, refusal: OcsRefusal, rules: Capabilities) -> SharingError:
    """Return the error for a path that exists, although the server answers as if it did not."""
    begin = f"cannot share {path}: {refusal.said}"
    if not rules.sharing:
        return CloudRefused(f"{begin}; {_SWITCHED_OFF}")
    return CloudFileLocked(f"{begin}; {_LOCKED}")


def receiver_refused(
    path: str, kind: str, name: str, refusal: OcsRefusal, known: Sequence[str], rules: Capabilities
) -> SharingError:
    """Return the error for a share with a user or a group that was refused.

    Parameters
    ----------
    known
        Names of users or groups at the server that begin like the refused name.
    """
    begin = f"cannot share {path} with the {kind} {name}: {refusal.said}"
    if not rules.sharing:
        return CloudRefused(f"{begin}; {_SWITCHED_OFF}")
    if kind == "group" and not rules.groups:
        return CloudRefused(f"{begin}; sharing with groups is switched off at this server: name the users instead")
    if refusal.is_missing and name not in known:
        near = difflib.get_close_matches(name, known, _MOST_NAMES, _ALIKE) or sorted(known)[:_MOST_NAMES]
        meant = f"did you mean {' or '.join(near)}?" if near else "check the spelling"
        return CloudPathNotFound(f"{begin}; the server knows no {kind} of this name: {meant}")
    return CloudRefused(f"{begin}; share it with fewer rights, or ask its owner or the administrator")


def link_refused(path: str, wish: LinkWish, refusal: OcsRefusal, rules: Capabilities, today: dt.date) -> SharingError:
    """Return the error for a public link to a path that exists."""
    begin = f"cannot make a public link to {path}: {refusal.said}"
    advice = _of_rules(wish, rules, today)
    if not advice and refusal.is_missing:
        return CloudFileLocked(f"{begin}; {_LOCKED}")
    return CloudRefused(f"{begin}; {advice or (_GIVE_ANOTHER if wish.password else _ASK)}")


def _of_rules(wish: LinkWish, rules: Capabilities, today: dt.date) -> str:
    if not rules.sharing or not rules.links:
        return "public links are switched off at this server: share with users or groups instead"
    if rules.link_password and not wish.password:
        return "each link at this server needs a password: add --new-password, in Python password=True"
    if rules.most_link_days is not None and wish.expires and (wish.expires - today).days > rules.most_link_days:
        return f"a link at this server lasts at most {rules.most_link_days} days: give an earlier day"
    if wish.upload and not rules.link_upload:
        return "links do not accept files at this server: leave out the upload"
    if wish.password and len(wish.password) < rules.least_password:
        return f"a password has at least {rules.least_password} characters at this server: give a longer one"
    return ""
