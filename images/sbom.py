"""Writes the bill of materials of an image as CycloneDX, the same bytes for the same content.

``python3 sbom.py NAME ENVIRONMENT ROOT``: the distributions of the virtual environment, the interpreter, and the
Debian packages that `root.py` has recorded.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

SOURCE = "https://github.com/gozen-project/gozen"
READS = ("-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON", "--sv", "1.6")


def main(name: str, environment: Path, root: Path) -> None:
    """Write the list below /usr/share/sbom of the root."""
    python = environment / "bin" / "python"
    bom = Bom.from_json(json.loads(told(sys.executable, *READS, python)))
    for component in (interpreter(told(python, "--version").split()[1]), *debian(root)):
        bom.components.add(component)
    bom.metadata.component = Component(name=name, type=ComponentType.CONTAINER)
    # Given by the clock and by chance where nobody says otherwise.
    content = sorted(f"{one.name} {one.version}" for one in bom.components)
    bom.serial_number = uuid5(NAMESPACE_URL, f"{SOURCE} {name} {content}")
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    written["metadata"].pop("timestamp", None)
    folder = root / "usr" / "share" / "sbom"
    folder.mkdir(parents=True)
    (folder / f"{name}.cdx.json").write_text(json.dumps(written, indent=1, sort_keys=True))


def interpreter(version: str) -> Component:
    """Return Python itself, which is a package of Debian in some bases and in others not."""
    purl = PackageURL("generic", None, "python", version)
    return Component(name="python", version=version, type=ComponentType.PLATFORM, purl=purl, bom_ref=str(purl))


def debian(root: Path) -> Iterator[Component]:
    """Yield the Debian packages that files of the root came from."""
    system = dict(re.findall(r'^(\w+)="?([^"\n]*)', (root / "usr/lib/os-release").read_text(), re.MULTILINE))
    for path in sorted((root / "var" / "lib" / "dpkg" / "status.d").iterdir()):
        record = HeaderParser().parsestr(path.read_text())
        name, version = record["Package"], record["Version"]
        which = {"arch": record["Architecture"], "distro": f"{system['ID']}-{system.get('VERSION_ID', 'unknown')}"}
        purl = PackageURL("deb", system["ID"], name, version, which)
        yield Component(name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl))


def told(*command: str | Path) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - the build's own


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
