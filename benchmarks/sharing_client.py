"""One transfer by Gozen in a process of its own, for benchmarks/sharing.py; prints what it took as JSON.

    python benchmarks/sharing_client.py put|get ADDRESS LOCAL REMOTE NOTES CONNECTIONS [--chunks]

The address is that of a WebDAV folder; with ``--chunks`` that of a Nextcloud. The user is ``u``, the password ``p``.
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path

import httpcore  # noqa: F401 - httpx imports it later; here it is a part of the start

from gozen.sharing.account import Account
from gozen.sharing.cloud_connection import Connection
from gozen.sharing.remote_files import RemoteFiles
from gozen.sharing.retrying import ConnectionLimits
from gozen.sharing.transfers.get_tree import GetTree
from gozen.sharing.transfers.progress import Progress
from gozen.sharing.transfers.put_tree import PutTree
from gozen.sharing.transfers.sending import UploadOptions
from gozen.sharing.transfers.transfer_notes import TransferNotes
from gozen.sharing.transfers.tree_transfer import TransferOptions

PLAIN = UploadOptions(chunk_bytes=5 * 10**9, with_checksums=False)
"""For a WebDAV server that knows neither chunks nor checksums."""


def main() -> None:
    """Transfer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=("put", "get"))
    for name in ("address", "local", "remote", "notes"):
        parser.add_argument(name)
    parser.add_argument("connections", type=int)
    parser.add_argument("--chunks", action="store_true")
    given = parser.parse_args()
    account = Account(given.address, "u", "p")
    notes = TransferNotes(Path(given.notes), account)
    options = TransferOptions() if given.chunks else TransferOptions(upload=PLAIN)
    with Connection(account, ConnectionLimits(connections=given.connections)) as connection:
        remote = RemoteFiles(connection, None if given.chunks else given.address)
        tree = (remote, notes, options, Progress())
        if given.way == "put":
            PutTree(*tree).put([Path(given.local)], given.remote).check()
        else:
            GetTree(*tree).get([given.remote], Path(given.local)).check()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "memory_mb": used.ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
