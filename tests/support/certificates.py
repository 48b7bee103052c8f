"""Certificates for tests, made by openssl."""

import subprocess
from pathlib import Path

from interpose.sidecar.endpoint import TlsFiles
from support.cli import need

__all__ = ["Authority"]

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """Certifies whom it is asked to, for two days."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        need("openssl")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.certificate, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        self._openssl("req", "-x509", *_KEY, "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate)

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def certify(self, name: str, *names: str) -> TlsFiles:
        """Files of one who has these alternative names (`DNS:...`, `URI:...`, `IP:...`), or only a subject."""
        files = TlsFiles(self.folder / f"{name}.pem", self.folder / f"{name}.key", self.certificate)
        request, extensions = self.folder / f"{name}.request", self.folder / f"{name}.extensions"
        extensions.write_text(f"subjectAltName={','.join(names)}\n" if names else "")
        self._openssl("req", *_KEY, "-subj", f"/O=tests/CN={name}", "-keyout", files.key, "-out", request)
        signing = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days", "2")
        self._openssl("x509", "-req", "-in", request, *signing, "-extfile", extensions, "-out", files.certificate)
        return files
