"""A real Nextcloud server, with which the tests of sharing also run if the environment names one.

``GOZEN_TEST_NEXTCLOUD`` contains its address and two users with their app passwords, separated by spaces:
``https://cloud.example.org/nc ADA:APP-PASSWORD BERT:APP-PASSWORD``. The tests create a folder for the first user, share
it with the second, and remove it.
"""

from __future__ import annotations

import os

from gozen.sharing.account import Account

VARIABLE = "GOZEN_TEST_NEXTCLOUD"


def real_accounts() -> tuple[Account, Account] | None:
    """Return the two accounts at the real server; None if the environment names none."""
    words = os.environ.get(VARIABLE, "").split()
    if not words:
        return None
    address, *users = words
    assert len(users) == 2, f"{VARIABLE} needs an address and two words USER:APP-PASSWORD"
    first, second = (user.split(":", 1) for user in users)
    return Account(address, *first, insecure=True), Account(address, *second, insecure=True)
