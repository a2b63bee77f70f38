"""A real Ceph with its RADOS Gateway: one monitor, one OSD in memory, one gateway, on the loopback interface.

It has what versitygw (`s3_server`) lacks: life cycles that expire objects, users, bucket policies.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.processes import ENDS_WITH_ITS_STARTER
from tests.cluster.tools import installed
from tests.free_ports import free_port

from .s3_server import KEY, PATIENT_S, SECRET, S3Server, wait_for

DAY_S = 2
"""Seconds that the gateway takes for a day, in life-cycle rules."""
_CONFIG = """\
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = {folder}
log file = {folder}/$name.log
pid file =
admin socket =
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 2
mon data = {folder}/mon
osd data = {folder}/osd
[client]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw lc debug interval = {day}
rgw s3 auth use sts = true
rgw sts key = {sts_key}
rgw sts min session duration = 1
"""
_WORDS = (
    (r"GET /[^/?]+/?\?\S*list-type=2", "ListObjectsV2"),
    (r"POST /[^/?]+/\S+\?uploads", "CreateMultipartUpload"),
    (r"POST /[^/?]+/\S+\?\S*uploadId", "CompleteMultipartUpload"),
    (r"PUT /[^/?]+/\S+\?\S*partNumber", "UploadPart"),
    (r"GET /[^/?]+/[^/?]", "GetObject"),
    (r"PUT /[^/?]+/[^/?]", "PutObject"),
    (r"GET / ", "ListAllMyBuckets"),
)


@dataclass
class CephServer(S3Server):
    """Ceph's RADOS Gateway, with users that the tests make."""

    def user(self, name: str) -> tuple[str, str]:
        """Make a user, or another key of one that there is; return the key and its secret."""
        key, secret = f"{name}-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
        known = name in json.loads(self.admin("user", "list"))
        made = ["key", "create", "--key-type=s3"] if known else ["user", "create", f"--display-name={name}"]
        self.admin(*made, f"--uid={name}", f"--access-key={key}", f"--secret-key={secret}")
        return key, secret

    def revoke(self, name: str, key: str) -> None:
        """Take a key away from a user."""
        self.admin("key", "rm", "--key-type=s3", f"--uid={name}", f"--access-key={key}")

    def role(self, name: str, trust: str, policy: str) -> str:
        """Make a role with its trust policy and its permissions; return its ARN."""
        self.admin("role", "create", f"--role-name={name}", f"--assume-role-policy-doc={trust}")
        self.admin("role-policy", "put", f"--role-name={name}", "--policy-name=rights", f"--policy-doc={policy}")
        return f"arn:aws:iam:::role/{name}"

    def admin(self, *words: str) -> str:
        """Run ``radosgw-admin`` and return what it prints."""
        return _run("radosgw-admin", self.folder / "ceph.conf", words)

    def said(self) -> list[str]:
        """Return what has been asked of it, in the words of versitygw."""
        asked = re.findall(r'beast: .*? "(\S+ \S+ )HTTP', self.log.read_text())
        return [next((word for form, word in _WORDS if re.match(form, one)), one) for one in asked]


@contextlib.contextmanager
def ceph_server(folder: Path) -> Iterator[CephServer]:
    """Run a Ceph in a new folder; it ends with the context, and nothing of it stays but logs."""
    folder.mkdir(parents=True)
    for name in ("mon", "osd"):
        (folder / name).mkdir()
    port, mon = free_port(), free_port()
    config, fsid = folder / "ceph.conf", str(uuid.uuid4())
    config.write_text(
        _CONFIG.format(fsid=fsid, mon=mon, port=port, folder=folder, day=DAY_S, sts_key=uuid.uuid4().hex[:16])
    )
    with contextlib.ExitStack() as stack:
        _monitor(stack, config, fsid, mon)
        disk = str(uuid.uuid4())
        _run("ceph", config, ["osd", "new", disk])
        _run("ceph-osd", config, ["--mkfs", "-i", "0", "--osd-uuid", disk])
        _start(stack, config, "ceph-osd", ["-f", "-i", "0"])
        gateway = _start(stack, config, "radosgw", ["-f", "-n", "client.rgw"])
        wait_for(port, gateway)
        server = CephServer(f"http://127.0.0.1:{port}", folder, folder / "client.rgw.log", gateway)
        server.admin("user", "create", "--uid=owner", "--display-name=o", f"--access-key={KEY}", f"--secret={SECRET}")
        yield server


def _monitor(stack: contextlib.ExitStack, config: Path, fsid: str, port: int) -> None:
    monitors = config.parent / "monmap"
    _run("monmaptool", config, ["--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{port}]", str(monitors)])
    _run("ceph-mon", config, ["--mkfs", "-i", "a", "--monmap", str(monitors)])
    wait_for(port, _start(stack, config, "ceph-mon", ["-f", "-i", "a"]))


def _run(program: str, config: Path, words: Sequence[str]) -> str:
    done = subprocess.run(
        [_path(program), "-c", config, *words], capture_output=True, text=True, timeout=4 * PATIENT_S, cwd=config.parent
    )
    assert done.returncode == 0, f"{program} {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def _start(stack: contextlib.ExitStack, config: Path, program: str, words: Sequence[str]) -> subprocess.Popen[bytes]:
    with (config.parent / f"{program}.out").open("wb") as said:
        command = [*ENDS_WITH_ITS_STARTER, _path(program), "-c", config, *words]
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=config.parent)

    def end() -> None:
        process.kill()  # what it holds is in memory, and nobody needs it any more
        process.wait(PATIENT_S)

    stack.callback(end)
    return process


def _path(program: str) -> str:
    return installed(program, "ceph-mon ceph-osd radosgw ceph-common")
