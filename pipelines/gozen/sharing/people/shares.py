"""Share files and folders with people and by public links; list and withdraw shares."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from gozen.errors import CloudPathNotFound, SharingError, UnexpectedAnswer
from gozen.sharing.capabilities import PATH as CAPABILITIES
from gozen.sharing.capabilities import Capabilities, read_capabilities
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.home_folder import HomeFolder
from gozen.sharing.ocs_answers import OcsRefusal, records, value_at
from gozen.sharing.ocs_calls import OcsCalls
from gozen.sharing.people.refusals import link_refused, no_such_path, path_refused, receiver_refused
from gozen.sharing.people.rights import Rights, rights_of
from gozen.sharing.people.share_records import Share, read_shares
from gozen.sharing.people.share_requests import (
    SHAREES,
    SHARES,
    LinkWish,
    check_link,
    expiry_day,
    link_form,
    new_password,
    receiver_form,
    receivers,
)
from gozen.sharing.people.share_tables import NewLink, ShareTable
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.remote_names import check_path

_BEGIN = 2
"""Number of first characters of a name with which similar names are searched."""


class Shares:
    """The shares of one account; `gozen.sharing.Cloud` has it as ``shares``.

    Parameters
    ----------
    connection
        The connection to the server.
    files
        The files of the account.
    today
        Returns the present day.
    home
        The home that Nextcloud shows; None if it shows none.
    """

    def __init__(
        self,
        connection: Connection,
        files: RemoteFiles,
        today: Callable[[], dt.date] = dt.date.today,
        home: HomeFolder | None = None,
    ) -> None:
        self._calls = OcsCalls(connection)
        self._me = connection.account.id
        self._files, self._today, self._home = files, today, home

    def capabilities(self) -> Capabilities:
        """Return what the server can do, and what its administrator allows now."""
        return read_capabilities(self._calls.get(CAPABILITIES, "the capabilities of the server", "read"))

    def share_with(
        self,
        path: str,
        users: Iterable[str] = (),
        groups: Iterable[str] = (),
        *,
        write: bool = False,
        reshare: bool = False,
    ) -> ShareTable:
        """Share a file or folder, and return the shares with these receivers.

        An existing share is not made twice; it gets the rights that are given here.

        Parameters
        ----------
        path
            The file or folder, from the top of the cloud.
        users, groups
            Names of the receivers, as Nextcloud knows them.
        write
            Whether they may also change it; in a folder, also create and delete.
        reshare
            Whether they may share it with others.

        Raises
        ------
        CloudPathNotFound
            There is no such path, user or group.
        CloudRefused
            The server does not allow it; the message has its words.
        """
        path = self._shareable(path)
        wanted = receivers(users, groups, self._me)
        before = {(one.kind, one.who): one for one in self._of(path)}
        rights = rights_of(folder=write and self._is_folder(path), write=write, reshare=reshare)
        return ShareTable([self._shared(path, kind, name, rights, before.get((kind, name))) for kind, name in wanted])

    def share_if_new(self, path: str, kind: str, name: str) -> bool:
        """Share a file or folder for reading, unless it is shared with this receiver; return whether a share was made.

        Unlike `share_with`, it leaves the rights of a share that somebody has made meanwhile. It raises the same
        errors.

        Parameters
        ----------
        kind, name
            ``user`` or ``group``, and its name.
        """
        path = self._shareable(path)
        users, groups = ([name], []) if kind == "user" else ([], [name])
        ((kind, name),) = receivers(users, groups, self._me)
        if any((one.kind, one.who) == (kind, name) for one in self._of(path)):
            return False
        self._shared(path, kind, name, Rights.READ, None)
        return True

    def link(
        self,
        path: str,
        *,
        password: str | bool = False,
        expires: dt.date | int | str | None = None,
        label: str = "",
        upload: bool = False,
    ) -> NewLink:
        """Make a public link to a file or folder, and return it with its password.

        Parameters
        ----------
        path
            The file or folder, from the top of the cloud.
        password
            A password, or True for a new one, which is in the result.
        expires
            A day, or a number of days; at the beginning of this day the link ends. None: by the rule of the server.
        label
            A name, which only you see.
        upload
            Whether visitors may put files into the folder, change and delete them.

        Raises
        ------
        BadRequest
            The day is in the past.
        CloudPathNotFound
            There is no such path.
        CloudRefused
            The server does not allow it; the message has its words.
        """
        path = self._shareable(path)
        today = self._today()
        secret = new_password(self.capabilities().least_password) if password is True else password or ""
        wish = check_link(LinkWish(secret, expiry_day(expires, today), label, upload), today)
        answer = self._calls.tried("POST", SHARES, path, "make a public link to", form=link_form(f"/{path}", wish))
        if isinstance(answer, OcsRefusal):
            if answer.is_missing and self._files.find(path, "share") is None:
                raise no_such_path(path, answer)
            raise link_refused(path, wish, answer, self.capabilities(), today)
        return NewLink(_only(answer, path), secret)

    def all(self) -> ShareTable:
        """Return everything that this account shares."""
        return ShareTable(read_shares(self._calls.get(SHARES, "your shares", "list")), "you share nothing")

    def of(self, path: str) -> ShareTable:
        """Return the shares that let others see a file or folder, including shares of the folders above it.

        Raises
        ------
        CloudPathNotFound
            There is no such path.
        """
        path = self._shareable(path)
        parts = [str(one) for one in (PurePosixPath(path), *PurePosixPath(path).parents) if str(one) != "."]
        return ShareTable(
            [one for part in parts for one in self._of(part, "list the shares of")], f"only you see {path}"
        )

    def withdraw(self, shares: Iterable[Share | str | int]) -> None:
        """Withdraw shares: their receivers no longer see the files, and links end.

        Parameters
        ----------
        shares
            Shares, as the methods here return them, or their numbers.

        Raises
        ------
        CloudPathNotFound
            There is no share with such a number, or it is not yours.
        """
        for one in shares:
            number = one.id if isinstance(one, Share) else str(one)
            what = f"the share {number}" + (f" of {one.path} with {one.who}" if isinstance(one, Share) else "")
            answer = self._calls.tried("DELETE", f"{SHARES}/{number}", what, "withdraw")
            # A share that was in a list and is gone now was withdrawn by somebody else, or has expired.
            if isinstance(answer, OcsRefusal) and not (answer.is_missing and isinstance(one, Share)):
                raise CloudPathNotFound(
                    f"cannot withdraw {what}: {answer.said}; `gozen share list` shows the numbers of your shares"
                )

    def _shareable(self, path: str) -> str:
        found = check_path(path)
        if not found:
            raise CloudPathNotFound("the whole cloud cannot be shared: name a file or folder in it")
        # Nextcloud notices a new file of the home only at a direct access such as this one.
        if self._home is not None and self._home.shows(found) and self._files.find(found, "share") is None:
            raise CloudPathNotFound(
                f"cannot share {found}: Nextcloud does not know this file of your home yet; open its folder in "
                "Nextcloud, or wait for the next scan"
            )
        return found

    def _is_folder(self, path: str) -> bool:
        found = self._files.find(path, "share")
        return found is not None and found.is_folder

    def _of(self, path: str, doing: str = "share") -> Sequence[Share]:
        answer = self._listed(path)
        if isinstance(answer, OcsRefusal):
            if not answer.is_missing or self._files.find(path, "share") is None:
                raise no_such_path(path, answer, doing)
            answer = self._listed(path)  # the file may have arrived since the first answer
            if isinstance(answer, OcsRefusal):
                raise path_refused(path, answer, self.capabilities())
        return read_shares(answer)

    def _listed(self, path: str) -> Any | OcsRefusal:
        query = {"path": f"/{path}", "reshares": "true"}
        return self._calls.tried("GET", SHARES, path, "list the shares of", query)

    def _shared(self, path: str, kind: str, name: str, rights: Rights, before: Share | None) -> Share:
        if before is not None and before.rights == rights:
            return before
        subject, doing = f"{path} with the {kind} {name}", "share"
        if before is not None:
            form = {"permissions": str(int(rights))}
            answer = self._calls.tried("PUT", f"{SHARES}/{before.id}", subject, doing, form=form)
        else:
            answer = self._calls.tried(
                "POST", SHARES, subject, doing, form=receiver_form(f"/{path}", kind, name, rights)
            )
        if isinstance(answer, OcsRefusal):
            known = self._known(kind, name) if answer.is_missing else []
            raise receiver_refused(path, kind, name, answer, known, self.capabilities())
        return _only(answer, path)

    def _known(self, kind: str, name: str) -> list[str]:
        """Return the names of users or groups that begin like `name`, as far as the server lists them."""
        query = {"search": name[:_BEGIN], "itemType": "file", "perPage": "50"}
        try:
            answer = self._calls.tried("GET", SHAREES, name, "search", query)
        except SharingError:
            return []  # the refusal of the share is what the user must know
        listed = (value_at(answer, f"{kind}s"), value_at(answer, "exact", f"{kind}s"))
        names = (value_at(one, "value", "shareWith") for data in listed for one in records(data))
        return sorted({str(one) for one in names if one})


def _only(data: Any, path: str) -> Share:
    found = read_shares(data)
    if len(found) != 1:
        raise UnexpectedAnswer(
            f"the server has answered with {len(found)} shares of {path} instead of the new one; "
            "`gozen share list` shows whether it was made"
        )
    return found[0]
