"""The version of a build: from git, as `gozen.version` reads it; everything else stands in pyproject.toml."""

import sys
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.egg_info import egg_info

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "pipelines"))

from gozen.version.find_version import RECORD, code_of_tree  # noqa: E402
from gozen.version.version_text import Code, next_after  # noqa: E402

CODE = code_of_tree(ROOT)
# Other tags with a number in them, such as data-2026, are not those of releases.
NEAREST_TAG = ["git", "describe", "--dirty", "--tags", "--long", "--match", "v[0-9]*"]


def number(scm: Any) -> str:
    """Return the number of the tag that git finds nearest, or of the one that follows."""
    if not (ROOT / ".git").exists() or not CODE.same_commit((scm.node or "").removeprefix("g")):
        return CODE.number  # a source archive, or one that somebody has put into another repository
    return next_after([str(scm.tag)]) if scm.distance else str(scm.tag)


def local(scm: Any) -> str:
    """Return the commit and the digest of the sources; nothing for a release, which package indexes would refuse."""
    return "" if ".dev" not in number(scm) and not scm.dirty else f"+{CODE.local}"


class EggInfo(egg_info):
    """Keeps the whole version beside the metadata, for a release too."""

    def run(self) -> None:
        """Write it before the list of files is made."""
        self.mkpath(self.egg_info)
        version = self.distribution.get_version()
        whole = version if "+" in version else str(Code(version, CODE.commit, CODE.digest))
        (Path(self.egg_info) / RECORD).write_text(f"{whole}\n")
        super().run()


setup(
    # Where git is missing, or refuses the folder of another user, there is the same version without the nearest tag.
    use_scm_version={
        "version_scheme": number,
        "local_scheme": local,
        "fallback_version": str(CODE),
        "scm": {"git": {"describe_command": NEAREST_TAG}},
    },
    cmdclass={"egg_info": EggInfo},
)
