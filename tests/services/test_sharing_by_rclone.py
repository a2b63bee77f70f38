"""A second opinion on the server of the tests: rclone, in its mode for Nextcloud, transfers to it and from it too.

Not here: the speed of both (benchmarks/sharing.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gozen.sharing.transfers.outcomes import FileState

from .transfer_places import OneUser
from .transferred_files import CHUNK, contents, odd_files, states

RCLONE = Path(sys.executable).with_name("rclone")


def rclone(own: OneUser, *words: str | Path) -> str:
    """Run rclone with the remote ``cloud:``."""
    account = own.account
    obscured = subprocess.run([RCLONE, "obscure", account.password], capture_output=True, text=True, check=True)
    remote = {
        "TYPE": "webdav", "VENDOR": "nextcloud", "URL": account.dav("files", account.id), "USER": account.user,
        "PASS": obscured.stdout.strip(), "NEXTCLOUD_CHUNK_SIZE": "5Mi",
    }  # fmt: skip
    settings = {f"RCLONE_CONFIG_CLOUD_{name}": value for name, value in remote.items()}
    done = subprocess.run(
        [RCLONE, "--config", os.devnull, "--retries", "1", *map(str, words)],
        env={**os.environ, **settings}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rclone_and_gozen_see_the_same_files(own: OneUser, tmp_path: Path) -> None:
    night = odd_files(tmp_path / "night")
    (night / "cube.fits").write_bytes(os.urandom(12_000_000))
    rclone(own, "copy", night, "cloud:one", "--create-empty-src-dirs")
    assert any(path.startswith(f"{own.server.base}/remote.php/dav/uploads") for path in own.requests("MOVE"))
    with own.client(tmp_path, chunk=CHUNK) as cloud:
        cloud.get("one", tmp_path / "back")
        assert contents(tmp_path / "back" / "one") == contents(night)
        assert set(states(cloud.put(tmp_path / "back" / "one"))) == {FileState.EQUAL}
        cloud.put(night, "two")
    rclone(own, "copy", "cloud:two/night", tmp_path / "by rclone", "--create-empty-src-dirs")
    assert contents(tmp_path / "by rclone") == contents(night)
    rclone(own, "check", night, "cloud:two/night")
    assert "cube.fits" in rclone(own, "lsf", "cloud:two/night")
    rclone(own, "moveto", "cloud:two/night/a.csv", "cloud:two/b.csv")
    rclone(own, "purge", "cloud:one")
    assert {name.split("/")[0] for name in contents(own.files)} == {"two"}


def test_the_server_forgets_a_checksum_when_another_client_writes(own: OneUser, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1")
    with own.client(tmp_path) as cloud:
        cloud.put(tmp_path / "a.csv")
        assert cloud.list()[0].checksum
        own.state.file(own.id, "a.csv").write_bytes(b"2")
        assert not cloud.list()[0].checksum
