"""Where a service listens or connects to, and the files that make a TCP connection mutually trusted."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from interpose.sidecar.errors import EndpointError
from interpose.sidecar.paths import absolute

__all__ = ["Credentials", "Endpoint", "Tcp", "TlsFiles", "Unix", "parse"]

_ADDRESS = re.compile(r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<plain>[^:\[\]]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Unix:
    """A Unix socket: the file's permissions say who may connect."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class Tcp:
    """Always with mutual TLS."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Endpoint = Unix | Tcp


def parse(text: str) -> Endpoint:
    """`unix:PATH`, `HOST:PORT` or `[ADDRESS]:PORT`. Raises EndpointError."""
    scheme, _, path = text.partition(":")
    if scheme == "unix" and path:
        return Unix(absolute(Path(path)))
    match = _ADDRESS.fullmatch(text)
    if match is None or scheme == "unix" or int(match["port"]) > 65535:
        raise EndpointError(f"not an endpoint: {text}: give unix:PATH or HOST:PORT")
    return Tcp(match["bracketed"] or match["plain"], int(match["port"]))


@dataclass(frozen=True, slots=True)
class Credentials:
    """The contents of TlsFiles, PEM."""

    certificate: bytes
    key: bytes
    authorities: bytes


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Who we are, and whom we believe. May be replaced by newer ones at any time."""

    certificate: Path
    """With the intermediate authorities' certificates behind it, if there are any."""
    key: Path
    authorities: Path
    """Certificates of the authorities that peers must be certified by."""

    def read(self) -> Credentials:
        """What stands in the files now. Raises EndpointError if it is unreadable or does not belong together."""
        try:
            found = Credentials(*(file.read_bytes() for file in (self.certificate, self.key, self.authorities)))
        except OSError as error:
            raise EndpointError(f"cannot read {error.filename}: {error.strerror}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except (OSError, ValueError) as error:
            raise EndpointError(
                f"{self.certificate} and {self.key} are no certificate and its key: {_why(error)}"
            ) from error
        try:
            context.load_verify_locations(self.authorities)
        except (OSError, ValueError) as error:
            raise EndpointError(f"{self.authorities} has no certificates of authorities: {_why(error)}") from error
        return found


def _why(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", None) or error).replace("_", " ").split()).lower()
