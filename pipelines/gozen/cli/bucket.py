"""``gozen archive tag``, ``lifecycle`` and ``policy``: life-cycle rules and permissions of the archive's bucket."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated

import typer

from gozen.archive.access_levels import Level
from gozen.cli.invocation import invocation
from gozen.errors import BadRequest

if TYPE_CHECKING:
    from gozen.archive.bucket_policy import Role
    from gozen.archive.stores.s3_store import S3Store

_MOST_DAYS = 36_500
_SPARE_DAYS = 2
"""Days to add: a bucket counts from the creation of a file, and a night ends at most this many days later."""

Users = Annotated[
    list[str] | None,
    typer.Option(metavar="ARN", help="User with this role, as an Amazon Resource Name; may be repeated."),
]
Set = Annotated[bool, typer.Option("--set", help="Also set it in the bucket; without this option it is only printed.")]


def tag(
    ctx: typer.Context,
    night: Annotated[str | None, typer.Argument(help="Night YYYYMMDD; default: all.")] = None,
) -> None:
    """On S3: tag raw files that are reduced and not retained; the rule of `lifecycle` deletes tagged files."""
    from gozen.archive.inventory import require_nights
    from gozen.archive.raw.reduced_tags import refresh

    store = _bucket(ctx)
    if night is not None:
        require_nights(store, [night])
    found = refresh(store, "raw" if night is None else f"raw/{night}")
    typer.echo(f"{found.reduced} raw files may expire, {found.other} not: they are retained or not reduced")


def lifecycle(
    ctx: typer.Context,
    days: Annotated[
        int | None,
        typer.Option(
            min=1, help="Age of a file in days at which the bucket deletes it; default: keep_raw_days plus two."
        ),
    ] = None,
    set_: Set = False,
) -> None:
    """On S3: print or set the rule by which the bucket deletes raw files that are reduced and not retained."""
    from gozen.archive.bucket_rules import rules_for, set_life_cycle

    store = _bucket(ctx)
    chosen = days or days_of_rule(invocation(ctx).settings().keep_raw_days)
    rules = set_life_cycle(store, chosen) if set_ else rules_for(store.prefix, chosen)
    typer.echo(json.dumps({"Rules": rules}, indent=1, default=str))


def days_of_rule(keep_days: float) -> int:
    """Return the age in days at which a bucket may remove files that must be kept `keep_days` after their night."""
    if keep_days > _MOST_DAYS:
        raise BadRequest(
            f"keep_raw_days is {keep_days:g}, but the rule of a bucket can have at most {_MOST_DAYS} days: write "
            "--days, or set no rule, which keeps all files"
        )
    return max(1, math.ceil(keep_days)) + _SPARE_DAYS


def policy(
    ctx: typer.Context,
    owner: Users = None,
    operator: Users = None,
    observer: Users = None,
    pipeline: Users = None,
    reader: Users = None,
    member: Users = None,
    other: Users = None,
    level: Annotated[
        Level | None,
        typer.Option(
            help="Print instead the policy of an STS role for these users of the hub: members, or all others."
        ),
    ] = None,
    set_: Set = False,
) -> None:
    """On S3: print or set the bucket policy, which gives each user the rights of a role."""
    from gozen.archive.access_levels import session_policy
    from gozen.archive.bucket_policy import statements
    from gozen.archive.bucket_rules import set_policy

    store = _bucket(ctx)
    if level:
        if set_:
            raise BadRequest(
                "--level prints the policy of a role, which gozen cannot set: leave out --set, and give the policy to "
                "the role with the tools of the S3 server"
            )
        typer.echo(session_policy(level, store.bucket, store.prefix))
        return
    users: dict[Role, list[str]] = {
        "owner": owner or [],
        "operator": operator or [],
        "observer": observer or [],
        "pipeline": pipeline or [],
        "reader": reader or [],
        "member": member or [],
        "other": other or [],
    }
    found = statements(store.bucket, store.prefix, users)
    if not found:
        raise BadRequest("name at least one user, for example --reader arn:aws:iam:::user/astronomers")
    if set_:
        set_policy(store, found)
    typer.echo(json.dumps({"Version": "2012-10-17", "Statement": found}, indent=1))


def _bucket(ctx: typer.Context) -> S3Store:
    from gozen.archive.bucket_rules import bucket_of

    return bucket_of(invocation(ctx).store(may_be_new=True))
