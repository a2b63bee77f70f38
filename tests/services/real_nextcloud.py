"""A real Nextcloud server, with which the tests of sharing also run if the environment names one.

``GOZEN_TEST_NEXTCLOUD`` contains its address and two users with their app passwords, separated by spaces:
``https://cloud.example.org/nc ADA:APP-PASSWORD BERT:APP-PASSWORD``. The tests create a folder for the first user, share
it with the second, and remove it. Their names contain ``real``, so ``-k real`` selects them; without the variable they
do not exist. Tests that need faults or another policy run with the test server only.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager

from gozen.sharing.account import Account
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.login.login_flow import with_user_id

VARIABLE = "GOZEN_TEST_NEXTCLOUD"
CONTRACT, REAL = "contract", "real"
SERVERS = [CONTRACT, REAL] if os.environ.get(VARIABLE) else [CONTRACT]
"""The servers on which tests run that succeed on any Nextcloud."""


@functools.cache
def real_accounts() -> tuple[Account, Account]:
    """Return the two accounts at the real server, with the identifiers of their users."""
    address, *users = os.environ[VARIABLE].split()
    assert len(users) == 2, f"{VARIABLE} needs an address and two words USER:APP-PASSWORD"
    first, second = (_account(address, *user.split(":", 1)) for user in users)
    return first, second


def _account(address: str, user: str, password: str) -> Account:
    account = Account(address, user, password, insecure=True)
    with Connection(account) as connection:
        return with_user_id(account, connection)


@contextmanager
def removed_at_the_end(connection: Connection, folder: str) -> Iterator[None]:
    """Remove a folder of the user when the test has ended, also if it failed."""
    try:
        yield
    finally:
        account = connection.account
        url = account.dav("files", account.id, folder)
        connection.request("DELETE", url, subject=folder, doing="remove", accept=(404,))
