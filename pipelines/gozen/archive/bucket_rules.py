"""Read and set the life-cycle rules and the policy of a bucket.

Other rules and statements in the same bucket are not changed. `gozen.archive.bucket_policy` builds the statements.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from gozen.archive.raw.reduced_tags import REDUCED
from gozen.archive.stores.s3_errors import code_of, s3_errors
from gozen.archive.stores.s3_store import S3Store
from gozen.archive.stores.store import Store
from gozen.errors import BadRequest

_UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
_NONE = frozenset({"NoSuchLifecycleConfiguration", "NoSuchBucketPolicy"})

Rule = dict[str, Any]


def bucket_of(store: Store) -> S3Store:
    """Return the store as an `S3Store`.

    Raises
    ------
    BadRequest
        The archive is not in an S3 bucket.
    """
    if isinstance(store, S3Store):
        return store
    raise BadRequest(
        f"{store.url} is not in an S3 bucket: it has no life-cycle rules and no policy; use `gozen archive expire`"
    )


def rules_for(prefix: str, days: int) -> list[Rule]:
    """Return the life-cycle rules of an archive: raw files expire, and unfinished uploads are removed after a day.

    Parameters
    ----------
    prefix
        Prefix of the archive's keys in the bucket; empty, or with a slash at its end.
    days
        Days from the creation of a raw file to its expiry, if it has the tag ``reduced=true``.
    """
    where = prefix.rstrip("/") or "bucket"
    [(name, value)] = REDUCED.items()
    return [
        {
            "ID": f"gozen raw {where}",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": f"{prefix}raw/", "Tags": [{"Key": name, "Value": value}]}},
            "Expiration": {"Days": days},
        },
        {
            "ID": f"gozen uploads {where}",
            "Status": "Enabled",
            "Filter": {"Prefix": prefix},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
    ]


def life_cycle(store: S3Store) -> list[Rule]:
    """Return all life-cycle rules of the bucket; raises the errors of `set_life_cycle`."""
    rules: list[Rule] = []
    with _asking(store, "read the life cycle of", "a life cycle"):
        rules += store.client.get_bucket_lifecycle_configuration(Bucket=store.bucket).get("Rules", ())
    return rules


def set_life_cycle(store: S3Store, days: int) -> list[Rule]:
    """Set the rules of this archive and keep all other rules; return all rules of the bucket.

    Raises
    ------
    BadRequest
        The server does not support life cycles, or does not store the rules.
    StorageUnavailable
        The credentials do not allow it, or the server does not answer.
    """
    ours = rules_for(store.prefix, days)
    names = {rule["ID"] for rule in ours}
    rules = [rule for rule in life_cycle(store) if rule.get("ID") not in names] + ours
    with _asking(store, "set the life cycle of", "a life cycle"):
        store.client.put_bucket_lifecycle_configuration(Bucket=store.bucket, LifecycleConfiguration={"Rules": rules})
    stands = life_cycle(store)
    if names - {rule.get("ID") for rule in stands}:
        raise BadRequest(f"the server of {store.url} does not store lifecycle rules: {_INSTEAD['a life cycle']}")
    return stands


def set_policy(store: S3Store, statements: Sequence[Mapping[str, Any]]) -> None:
    """Set statements in the bucket's policy; those with the same ``Sid`` are replaced.

    Raises the errors of `set_life_cycle`.
    """
    names = {one["Sid"] for one in statements}
    kept: list[Any] = []
    with _asking(store, "read the policy of", "policies"):
        found = json.loads(store.client.get_bucket_policy(Bucket=store.bucket)["Policy"])
        kept = [one for one in found["Statement"] if one.get("Sid") not in names]
    policy = {"Version": "2012-10-17", "Statement": [*kept, *statements]}
    with _asking(store, "set the policy of", "policies"):
        store.client.put_bucket_policy(Bucket=store.bucket, Policy=json.dumps(policy))


_INSTEAD = {
    "a life cycle": "run `gozen archive expire` once a day instead, or use another S3 server",
    "policies": "give each user permissions with the tools of this server, or use another S3 server",
}


@contextlib.contextmanager
def _asking(store: S3Store, verb: str, what: str) -> Iterator[None]:
    """Turn errors about the bucket into Gozen's errors; a missing policy or life cycle is not an error."""
    with s3_errors(f"s3://{store.bucket}", verb):
        try:
            yield
        except ClientError as error:
            if code_of(error) in _UNKNOWN:
                raise BadRequest(f"the server of {store.url} does not support {what}: {_INSTEAD[what]}") from error
            if code_of(error) not in _NONE:
                raise
