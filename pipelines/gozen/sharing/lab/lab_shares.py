"""List, make and withdraw the shares of files that the user has selected in the dialog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gozen.errors import CloudPathNotFound, CloudUnavailable, GozenError, LogInRefused
from gozen.sharing.cloud import Cloud
from gozen.sharing.lab.lab_places import LabPlace
from gozen.sharing.lab.lab_requests import LinkTo, SharingWith
from gozen.sharing.people.qr_codes import qr_address
from gozen.sharing.people.rights import Rights
from gozen.sharing.people.share_records import Share
from gozen.sharing.people.share_tables import NewLink

_WRITE = Rights.UPDATE | Rights.CREATE | Rights.DELETE


class LabShares:
    """The shares of an account, for the dialog.

    Parameters
    ----------
    opened
        Opens the files of the account; the caller closes them.
    """

    def __init__(self, opened: Callable[[], Cloud]) -> None:
        self._opened = opened

    def seen(self, places: Sequence[LabPlace]) -> dict[str, Any]:
        """Return who sees each of the files; `known` says whether Nextcloud has it."""
        with self._opened() as cloud:
            return {"files": [_seen(cloud, one) for one in places]}

    def share(self, places: Sequence[LabPlace], asked: SharingWith) -> dict[str, Any]:
        """Share files with users and groups."""
        rights = {"write": asked.write, "reshare": asked.reshare}
        with self._opened() as cloud:
            for one in places:
                cloud.shares.share_with(one.cloud, asked.users, asked.groups, **rights)
        return {}

    def link(self, places: Sequence[LabPlace], asked: LinkTo) -> dict[str, Any]:
        """Make a public link to each file; return the links with their passwords, and why others were not made.

        Nextcloud does not show the passwords again, so an error is raised only if there is no link at all.
        """
        wish: dict[str, Any] = {"password": asked.password, "expires": asked.expires or None, "label": asked.label}
        made: list[dict[str, str]] = []
        errors: list[GozenError] = []
        with self._opened() as cloud:
            for one in places:
                try:
                    made.append(_link(cloud.shares.link(one.cloud, **wish)))
                except GozenError as error:
                    errors.append(error)
                    if isinstance(error, CloudUnavailable | LogInRefused):
                        break
        if errors and not made:
            raise errors[0]
        return {"links": made, "message": _not_made(errors, len(places), len(made))}

    def withdraw(self, number: str) -> dict[str, Any]:
        """Withdraw a share."""
        with self._opened() as cloud:
            cloud.shares.withdraw([number])
        return {}


def _not_made(errors: Sequence[GozenError], asked: int, made: int) -> str:
    if not errors:
        return ""
    missing = asked - made
    return f"{errors[0]} ({missing} of {asked} links {'was' if missing == 1 else 'were'} not made)"


def _seen(cloud: Cloud, place: LabPlace) -> dict[str, Any]:
    known, shares, message = True, [], ""
    try:
        shares = [_row(one, place) for one in cloud.shares.of(place.cloud)]
    except CloudPathNotFound as error:
        # A file that is sent later is not there yet; one of a home that Nextcloud shows should be.
        known, message = False, str(error) if place.shown else ""
    return {
        "path": place.path, "cloud": place.cloud, "shown": place.shown, "known": known, "message": message,
        "shares": shares,
    }  # fmt: skip


def _row(share: Share, place: LabPlace) -> dict[str, Any]:
    return {
        "id": share.id,
        "kind": share.kind,
        "who": share.who,
        "name": share.name,
        "read": Rights.READ in share.rights,
        "write": bool(share.rights & _WRITE),
        "reshare": Rights.RESHARE in share.rights,
        "until": share.expires.isoformat() if share.expires else "",
        "label": share.label,
        "url": share.url,
        "password": share.password,
        "above": "" if share.path == place.cloud else share.path,
    }


def _link(link: NewLink) -> dict[str, str]:
    return {"path": link.share.path, "url": link.url, "password": link.password, "qr": qr_address(link.url)}
