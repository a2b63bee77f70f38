"""Run the Nextcloud server of the tests over a folder, for benchmarks/sharing.py; prints its address.

python benchmarks/nextcloud_of_the_tests.py FOLDER
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.services.nextcloud_server import NextcloudServer

if __name__ == "__main__":
    with NextcloudServer(Path(sys.argv[1]), {"u": "p"}) as server:
        print(server.url, flush=True)
        signal.pause()
