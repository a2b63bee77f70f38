"""Build the statements of a bucket policy for each role; `bucket_rules` sets them. No I/O.

The owner of the bucket may do everything. Only the owner may delete and expire files, end a retention, and change the
policy and the life cycle.

References
----------
Amazon S3 User Guide, "Policies and permissions in Amazon S3": an explicit Deny overrides the rights that an object's
owner has by its access control list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from gozen.archive import access_levels
from gozen.archive.access_levels import Level

Role = Literal["owner", "operator", "observer", "pipeline", "reader", "member", "other"]
ROLES: tuple[Role, ...] = get_args(Role)

# Ceph 16 does not backtrack: it tries only the first place where a star may end.
_RECORDS = ("raw/*/*/exposure.json", "raw/*/*/record/*")
_LEVELS: Mapping[Role, Level] = {"member": "members", "other": "others"}
_READS: Mapping[Role, Sequence[str]] = {
    "owner": ("*",),
    "operator": (*_RECORDS, "exposures/*"),
    "observer": ("raw/*", "expid/*", "truth/*", "catalogs/*"),
    "pipeline": ("*",),
    "reader": ("*",),
}
_WRITES: Mapping[Role, Sequence[str]] = {
    "owner": ("*",),
    "observer": ("raw/*", "expid/*", "truth/*"),
    "pipeline": (
        *_RECORDS,
        *(f"{name}/*" for name in ("calib", "stack", "cube", "neo", "staging", "exposures", "tables", "catalogs")),
    ),
}
_TAGS: Mapping[Role, Sequence[str]] = {"owner": ("raw/*",), "pipeline": ("raw/*",)}
_TAGGING = ("s3:GetObjectTagging", "s3:PutObjectTagging")
_NEVER = (
    "s3:PutObjectAcl",
    "s3:PutObjectVersionAcl",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutBucketAcl",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:PutLifecycleConfiguration",
    "s3:DeleteBucket",
)
_DELETES: Mapping[Role, Sequence[str]] = {"owner": ("*",)}


def statements(bucket: str, prefix: str, principals: Mapping[Role, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the statements of a bucket policy.

    Parameters
    ----------
    bucket
        Name of the bucket.
    prefix
        Prefix of the archive's keys in the bucket; empty, or with a slash at its end.
    principals
        For each role the ARNs of its users; a role without users gets no statements. Name the owner if each user is a
        separate account, as in Ceph: otherwise the owner may not read objects that other users put into the bucket.

    Returns
    -------
    list of dict
        For each role the actions that are allowed, and (except for the owner) the actions that are denied even for
        objects that the user has put. Every role but ``other`` may list all keys: without this right S3 answers 403
        instead of 404 for a missing object.
    """
    return [one for role in ROLES if principals.get(role) for one in _of_role(role, principals[role], bucket, prefix)]


def _of_role(role: Role, users: Sequence[str], bucket: str, prefix: str) -> list[dict[str, Any]]:
    common = {"Principal": {"AWS": sorted(users)}}
    allowed = _rights(role, bucket, prefix)
    found = [{"Sid": _name(role, what, prefix), **common, **one} for what, one in allowed.items() if one["Resource"]]
    if role == "owner":
        return found
    # The actions are listed one by one because Ceph 16 ignores NotAction.
    never = [*_NEVER, *(() if role in _TAGS else _TAGGING)]
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    denied = {"Sid": _name(role, "Never", prefix), "Effect": "Deny", **common, "Action": never, "Resource": resources}
    return [*found, denied]


def _rights(role: Role, bucket: str, prefix: str) -> dict[str, dict[str, Any]]:
    """Return what a role may do, by the name of the statement."""
    if role in _LEVELS:
        return dict(zip(("List", "Read"), access_levels.rights(_LEVELS[role], bucket, prefix), strict=True))
    whole, objects = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{prefix}"
    rights = (
        ("List", ["s3:ListBucket"], [whole]),
        ("Read", ["s3:GetObject"], [objects + one for one in _READS[role]]),
        ("Write", ["s3:PutObject", "s3:AbortMultipartUpload"], [objects + one for one in _WRITES.get(role, ())]),
        ("Tag", list(_TAGGING), [objects + one for one in _TAGS.get(role, ())]),
        ("Delete", ["s3:DeleteObject"], [objects + one for one in _DELETES.get(role, ())]),
    )
    return {what: {"Effect": "Allow", "Action": actions, "Resource": where} for what, actions, where in rights}


def _name(role: Role, what: str, prefix: str) -> str:
    return f"Gozen{role.capitalize()}{what}" + "".join(one for one in prefix.title() if one.isalnum())
