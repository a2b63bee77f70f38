"""The certificates of a cluster, made with openssl for one run."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

DAYS = 30
# The system's configuration would add extensions of its own.
_CONFIGURATION = "[req]\ndistinguished_name = dn\n[dn]\n"


class Authority:
    """A certificate authority in a folder.

    Parameters
    ----------
    folder
        Where keys and certificates are written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "openssl.cnf").write_text(_CONFIGURATION)
        self._request("ca", "/CN=gozen", ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"])

    @property
    def certificate(self) -> Path:
        """The certificate of the authority."""
        return self.folder / "ca.crt"

    def server(self, name: str, addresses: Sequence[str], names: Sequence[str]) -> tuple[Path, Path]:
        """Return certificate and key of a server with these IP addresses and names."""
        alternatives = ",".join([*(f"IP:{each}" for each in addresses), *(f"DNS:{each}" for each in names)])
        return self._issue(name, f"/CN={name}", [f"subjectAltName={alternatives}", "extendedKeyUsage=serverAuth"])

    def client(self, name: str, group: str) -> tuple[Path, Path]:
        """Return certificate and key of a client, whose Kubernetes group is the organisation."""
        return self._issue(name, f"/O={group}/CN={name}", ["extendedKeyUsage=clientAuth"])

    def signing_key(self, name: str) -> Path:
        """Return a private key that signs the tokens of service accounts."""
        key = self.folder / f"{name}.key"
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
        return key

    def _issue(self, name: str, subject: str, extensions: Sequence[str]) -> tuple[Path, Path]:
        signer = ["-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key")]
        return self._request(name, subject, ["basicConstraints=critical,CA:FALSE", *extensions], signer)

    def _request(
        self, name: str, subject: str, extensions: Sequence[str], signer: Sequence[str] = ()
    ) -> tuple[Path, Path]:
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        _openssl(
            *("req", "-x509", "-config", str(self.folder / "openssl.cnf"), "-days", str(DAYS), "-noenc"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", subject),
            *(word for extension in extensions for word in ("-addext", extension)),
            *("-keyout", str(key), "-out", str(certificate), *signer),
        )
        return certificate, key


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
