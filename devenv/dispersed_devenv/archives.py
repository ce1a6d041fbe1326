"""Programs from published archives: the official one of envtest, or a mirror of it.

The addresses are the user's: no host is known here. Each archive is a gzipped tar with its SHA-512 published beside it,
under the same address with `.sha512` at the end. The official archive lacks some programs; a second one (that of the
Kubernetes servers has the same form) may bring them.

Invariants: nothing of an archive is read before its checksum was right; a program is written under its own name only,
whatever path it has in the archive; what cannot be had is an `ArchiveError` within seconds of silence.
"""

from __future__ import annotations

import hashlib
import http.client
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, Protocol
from urllib.parse import urlsplit

from dispersed_devenv.gobuild import Report

VARIABLE: Final = "DISPERSED_ENVTEST_ARCHIVES"
SILENCE_SECONDS: Final = 5.0
LARGEST_ARCHIVE: Final = 1024**3
LARGEST_PROGRAM: Final = 512 * 1024**2
_LARGEST_CHECKSUM: Final = 4096
_CHUNK: Final = 1024**2
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class ArchiveError(Exception):
    """An archive cannot be had or must not be used. The text names the archive and says why."""


class _Readable(Protocol):
    def read(self, amount: int, /) -> bytes: ...


def addresses(environ: Mapping[str, str], *, version: str, platform: str) -> tuple[str, ...]:
    """The archives that the user names, separated by spaces; {version} (as v1.2.3) and {platform} (as linux-amd64) are
    filled in."""
    named = environ.get(VARIABLE, "").split()
    return tuple(each.replace("{version}", version).replace("{platform}", platform) for each in named)


def fetch_programs(
    urls: Collection[str], programs: Collection[str], *, version: str, into: Path, report: Report
) -> None:
    """Put these programs into the folder `into`, which exists. Raises `ArchiveError` unless all of them are there and
    kube-apiserver is of the release `version`."""
    for number, url in enumerate(urls):
        report(f"downloading {url}")
        archive = into.parent / f"archive-{number}"
        try:
            _download(url, archive, _published_checksum(f"{url}.sha512"))
            _unpack(url, archive, programs, into)
        finally:
            archive.unlink(missing_ok=True)
    missing = sorted(name for name in programs if not (into / name).exists())
    if missing:
        raise ArchiveError(f"{', '.join(urls)}: no {' and no '.join(missing)}")
    _check_release(into / "kube-apiserver", version)


def _published_checksum(url: str) -> str:
    answer = _opened(url)
    with answer:
        words = _read(url, answer, _LARGEST_CHECKSUM).decode("ascii", "replace").split()
    if not words or len(words[0]) != 128 or not set(words[0].lower()) <= set("0123456789abcdef"):
        raise ArchiveError(f"{url}: this is no SHA-512")
    return words[0].lower()


def _download(url: str, target: Path, checksum: str) -> None:
    digest, received = hashlib.sha512(), 0
    answer = _opened(url)
    with answer, target.open("wb") as file:
        announced = answer.headers.get("Content-Length", "")
        while chunk := _read(url, answer, _CHUNK):
            received += len(chunk)
            if received > LARGEST_ARCHIVE:
                raise ArchiveError(f"{url}: more than {LARGEST_ARCHIVE} bytes")
            digest.update(chunk)
            file.write(chunk)
    if announced.isdecimal() and received < int(announced):
        raise ArchiveError(f"{url}: the download ended after {received} of {announced} bytes")
    if digest.hexdigest() != checksum:
        raise ArchiveError(f"{url}: the checksum is not the published one; nothing of it was used")


def _opened(url: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ArchiveError(f"{url}: the address must be https")
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=SILENCE_SECONDS)  # noqa: S310 - checked
    except urllib.error.HTTPError as error:
        error.close()
        raise ArchiveError(f"{url}: HTTP {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise ArchiveError(f"{url}: {error}") from None
    return answer


def _read(url: str, answer: _Readable, amount: int) -> bytes:
    try:
        return answer.read(amount)
    except (OSError, http.client.HTTPException) as error:
        raise ArchiveError(f"{url}: {type(error).__name__} while reading") from None


def _unpack(url: str, archive: Path, programs: Collection[str], into: Path) -> None:
    try:
        with tarfile.open(archive, "r:gz") as opened:
            for member in opened:
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts:
                    raise ArchiveError(f"{url}: it holds a path that leads out of it; nothing of it was used")
                if path.name in programs and member.isfile():
                    _write_program(url, opened, member, into / path.name)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(f"{url}: it cannot be unpacked ({type(error).__name__})") from None


def _write_program(url: str, opened: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    content = opened.extractfile(member)
    if content is None or member.size > LARGEST_PROGRAM:
        raise ArchiveError(f"{url}: {target.name} is no program, or larger than {LARGEST_PROGRAM} bytes")
    with content, target.open("wb") as file:
        while chunk := content.read(_CHUNK):
            file.write(chunk)
    target.chmod(0o755)


def _check_release(apiserver: Path, version: str) -> None:
    try:
        said = subprocess.run([apiserver, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ArchiveError(f"the kube-apiserver of the archive does not run here ({type(error).__name__})") from None
    if said.split()[-1:] != [version]:
        raise ArchiveError(f"the kube-apiserver of the archive says {said.strip()!r}; {version} is needed")
