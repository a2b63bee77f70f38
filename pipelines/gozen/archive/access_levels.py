"""Decide what users may read: their access level (members or others), and the keys that each level may read. No I/O.

The observatory reads everything. All rights are patterns of keys, so no list grows with the number of users, nights or
releases. The hub's credentials (`gozen_hub.credentials`), `gozen.archive.bucket_policy` and the portal use them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

Level = Literal["members", "others"]
LEVELS: tuple[Level, ...] = get_args(Level)

# Folders of releases: `gozen.catalog.format.layout.FIRST_RELEASED` gives them numbers of nine digits that begin so. A
# question mark also stands for a slash: with one digit and eight of these, `.g9/dataset/` would match.
_RELEASED = "catalogs/*/*.g90000????/*"
_MANIFESTS = ("releases/*", "catalogs/*/release/*")
# Named by their digests, which only the manifests of versions and releases contain.
_BY_DIGEST = ("catalogs/*/index/*", "catalogs/*/schema/*", "catalogs/*/contents/*")
READS: Mapping[Level, Sequence[str]] = {
    # Not `cube` and `calib`: they are the frames of the raw data, and what is needed to undo their calibration.
    "members": ("catalogs/*", "releases/*", "tables/*", "exposures/*", "stack/*", "neo/*"),
    "others": (*_MANIFESTS, *_BY_DIGEST, _RELEASED),
}
"""Patterns of the keys that users of each access level may read."""
LISTS: Mapping[Level, Sequence[str]] = {"members": (), "others": (*_MANIFESTS, _RELEASED)}
"""Patterns of the prefixes that each level may list; empty: all. Then S3 answers 404, not 403, for a missing object."""


@dataclass(frozen=True)
class Members:
    """The users who are members.

    Parameters
    ----------
    users, groups
        Names of users, and of groups whose users are all members.
    everyone
        Whether all users are members.
    """

    users: Set[str] = frozenset()
    groups: Set[str] = frozenset()
    everyone: bool = False


def level_of(user: str, groups: Set[str], members: Members) -> Level:
    """Return the access level of a user who belongs to `groups`."""
    return "members" if members.everyone or user in members.users or groups & members.groups else "others"


def may_read(level: Level, key: str) -> bool:
    """Return whether users of an access level may read the object of the archive with this key."""
    return any(fnmatchcase(key, one) for one in READS[level])


def rights(level: Level, bucket: str, prefix: str) -> list[dict[str, Any]]:
    """Return the policy statements that let an access level list and read, without ``Principal`` and ``Sid``.

    Parameters
    ----------
    prefix
        Prefix of the archive's keys in the bucket; empty, or with a slash at its end.
    """
    lists: dict[str, Any] = {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{bucket}"]}
    if LISTS[level]:
        lists["Condition"] = {"StringLike": {"s3:prefix": [prefix + one for one in LISTS[level]]}}
    resources = [f"arn:aws:s3:::{bucket}/{prefix}{one}" for one in READS[level]]
    return [lists, {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": resources}]


def session_policy(level: Level, bucket: str, prefix: str) -> str:
    """Return the policy of a session (``AssumeRole``) or of a role, as JSON; the parameters are those of `rights`."""
    policy = {"Version": "2012-10-17", "Statement": rights(level, bucket, prefix)}
    return json.dumps(policy, separators=(",", ":"))
