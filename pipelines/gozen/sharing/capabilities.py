"""Read the capabilities of a Nextcloud server: its features, and the rules of its administrator. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gozen.sharing.ocs_answers import value_at

PATH = "cloud/capabilities"


@dataclass(frozen=True)
class Capabilities:
    """The version of a server and its rules for shares.

    Parameters
    ----------
    version
        The version as text, such as ``32.0.1``; empty if the server does not report it.
    major
        The first number of the version; 0 if the server does not report it.
    sharing, links, groups, resharing
        Whether files may be shared at all, by public links, with groups, and again by their receivers.
    link_password
        Whether each public link must have a password.
    link_days
        Days after which a public link expires if no day is given; None if it does not.
    most_link_days
        Most days until a public link expires; None if there is no limit.
    link_upload
        Whether public links may accept files.
    least_password
        Least number of characters of a link's password; 0 if the server has no such rule.
    chunking
        Version of the protocol for uploads in parts, such as ``1.0``; empty if there is none.
    """

    version: str = ""
    major: int = 0
    sharing: bool = True
    links: bool = True
    groups: bool = True
    resharing: bool = True
    link_password: bool = False
    link_days: int | None = None
    most_link_days: int | None = None
    link_upload: bool = True
    least_password: int = 0
    chunking: str = ""


def read_capabilities(data: Any) -> Capabilities:
    """Return the capabilities in the data of the server's answer; rules that it does not name do not apply."""
    shares = value_at(data, "capabilities", "files_sharing")
    links = value_at(shares, "public")
    expiry = value_at(links, "expire_date")
    policy = value_at(data, "capabilities", "password_policy")
    least = _number(value_at(policy, "policies", "sharing", "minLength"))  # else links have the rule of accounts
    days = _number(value_at(expiry, "days")) if value_at(expiry, "enabled") else None
    return Capabilities(
        version=str(value_at(data, "version", "string") or ""),
        major=_number(value_at(data, "version", "major")) or 0,
        sharing=bool(value_at(shares, "api_enabled")),
        links=bool(value_at(links, "enabled")),
        groups=_unless_false(value_at(shares, "group", "enabled"), value_at(shares, "group_sharing")),
        resharing=_unless_false(value_at(shares, "resharing")),
        link_password=bool(value_at(links, "password", "enforced")),
        link_days=days,
        most_link_days=days if value_at(expiry, "enforced") else None,
        link_upload=bool(value_at(links, "upload")),
        least_password=(_number(value_at(policy, "minLength")) or 0) if least is None else least,
        chunking=str(value_at(data, "capabilities", "dav", "chunking") or ""),
    )


def _unless_false(*values: Any) -> bool:
    return all(value is None or bool(value) for value in values)


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
