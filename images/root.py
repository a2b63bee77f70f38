"""Writes what a virtual environment needs of the system into a folder: the root of an image that holds nothing else.

``python3 root.py ENVIRONMENT FOLDER``: the interpreter with its library, every shared library that something here
links, two users and a /tmp; no shell and no package manager. Of each package that a file came from licence and record
are kept, where scanners look for them (/var/lib/dpkg/status.d).
"""

import compileall
import os
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from pathlib import Path
from py_compile import PycInvalidationMode

# What no program of ours imports, or finds here.
LEFT_OUT = (
    *("__pycache__", "config-*", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "sitecustomize.py"),
    *("test", "tkinter", "turtledemo"),
)
# Loaded by its name when a thread ends.
UNWINDER = "libgcc_s.so.1"
FILES = ("/etc/ld.so.cache", "/etc/os-release", "/usr/lib/os-release")
TOP_LINKS = ("bin", "lib", "lib64", "sbin")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
USERS = {
    "etc/passwd": "root:x:0:0:root:/root:/nonexistent\ngozen:x:10001:10001:gozen:/tmp:/nonexistent\n",
    "etc/group": "root:x:0:\ngozen:x:10001:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def main(environment: Path, root: Path) -> None:
    """Write the root."""
    root.mkdir(parents=True)
    for link in (Path("/", name) for name in TOP_LINKS):
        if link.is_symlink():
            place(root, link).symlink_to(link.readlink())
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, place(root, library), symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    interpreter = environment / "bin" / "python"
    while interpreter.is_relative_to(environment):
        interpreter = interpreter.parent / interpreter.readlink()
    libraries = linked([interpreter, *library.rglob("*.so"), *environment.rglob("*.so*")])
    for path in (interpreter, *libraries, *map(Path, FILES)):
        if not path.is_relative_to(environment):
            keep(root, path)
    for name, text in USERS.items():
        place(root, Path(name)).write_text(text)
    bundle = place(root, Path(ssl.get_default_verify_paths().openssl_cafile))
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.symlink_to(CERTIFICATES)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    record_packages(root)
    unchecked = PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(place(root, library), quiet=2, force=True, invalidation_mode=unchecked, stripdir=str(root))


def place(root: Path, path: Path) -> Path:
    """Return where a file of the system stands below the root."""
    return root / str(path).lstrip("/")


def keep(root: Path, path: Path) -> None:
    """Copy a file and all links on the way to it."""
    while path.is_symlink():
        path = path.parent.resolve() / path.name
        copy = place(root, path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.is_symlink():
            copy.symlink_to(path.readlink())
        path = path.parent / path.readlink()
    path = path.resolve()
    if path.is_file() and not place(root, path).exists():
        place(root, path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place(root, path))


def linked(programs: list[Path]) -> set[Path]:
    """Return the shared libraries that programs and libraries link, and the loader."""
    said = told("ldd", *(path for path in programs if path.is_file()))
    found = {Path(one) for one in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.MULTILINE)}
    return found | {path.parent / UNWINDER for path in found if path.name.startswith("libc.so")}


def record_packages(root: Path) -> None:
    """Keep licence and record of each Debian package that a file below the root came from."""
    files = [f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    # Files of /usr/lib may be listed under the /lib that they had before the two became one.
    names = [*files, *(name.removeprefix("/usr") for name in files if name.startswith("/usr/lib"))]
    lines = [line for line in told("dpkg", "--search", *names).splitlines() if not line.startswith("diversion")]
    records = root / "var" / "lib" / "dpkg" / "status.d"
    records.mkdir(parents=True)
    for package in sorted({re.split("[,:]", line)[0] for line in lines}):
        (records / package).write_text(told("dpkg", "--status", package))
        keep(root, Path(f"/usr/share/doc/{package}/copyright"))


def told(*command: str | Path) -> str:
    """Return what a command of the system prints; what it does not know of some names is no matter."""
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout  # noqa: S603 - ldd, dpkg


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
