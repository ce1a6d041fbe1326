"""Flux's kustomize-controller as a process, and a stand-in for the part of Flux that fetches sources.

The controller is the real one. What it applies comes from a GitRepository whose status the test writes itself, as
source-controller would: an artifact that a server on loopback hands out. Nothing of Git takes part.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from dispersed_devenv import processes
from dispersed_devenv.flux import Flux
from dispersed_devenv.processes import Command
from tests.support.world import Body, World

API = "kustomize.toolkit.fluxcd.io/v1"
KUSTOMIZATION = "kustomizations.kustomize.toolkit.fluxcd.io"
SOURCE_API = "source.toolkit.fluxcd.io/v1"


class Source:
    """A GitRepository and its artifact: whole trees, each a revision of its own. Use as a context manager."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._folder = world.folder / f"source-{name}"
        self._folder.mkdir()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(self._folder)))
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"source-{name}")

    def __enter__(self) -> Source:
        self._thread.start()
        spec = {"interval": "1h", "url": "https://git.example.com/studio/platform"}
        self._world.apply(
            {"apiVersion": SOURCE_API, "kind": "GitRepository", "metadata": {"name": self._name}, "spec": spec}
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self, tree: Mapping[str, str]) -> str:
        """Make these files (by path) the newest revision; its name."""
        archive = _archive(tree)
        digest = hashlib.sha256(archive).hexdigest()
        (self._folder / f"{digest}.tar.gz").write_bytes(archive)
        revision = f"main@sha1:{hashlib.sha1(archive, usedforsecurity=False).hexdigest()}"
        artifact = {
            "path": f"{digest}.tar.gz",
            "url": f"http://127.0.0.1:{self._server.server_port}/{digest}.tar.gz",
            "digest": f"sha256:{digest}",
            "revision": revision,
            "lastUpdateTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "size": len(archive),
        }
        patch = json.dumps({"status": {"artifact": artifact}})
        self._world.kubectl(
            "patch", "gitrepository", self._name, "--subresource=status", "--type=merge", "--patch", patch
        )
        return revision


class KustomizeController:
    """The controller on one namespace, with the rights of an administrator, as Flux installs it. A context manager."""

    def __init__(self, world: World, flux: Flux) -> None:
        self._world = world
        self._flux = flux
        self._process: processes.Process | None = None

    def __enter__(self) -> KustomizeController:
        plane, folder = self._world.plane, self._world.folder / "kustomize-controller"
        folder.mkdir()
        plane.kubectl("apply", "--server-side", "-f", str(self._flux.definitions))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(self._flux.definitions))
        argv = [str(self._flux.kustomize_controller), "--watch-all-namespaces=false", "--log-level=debug"]
        argv += ["--metrics-addr=0", "--health-addr=127.0.0.1:0", "--min-retry-delay=1s"]
        environ = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "KUBECONFIG": str(plane.kubeconfig),
            "RUNTIME_NAMESPACE": self._world.namespace,
        }
        self._process = processes.start(
            Command("kustomize-controller", argv, log=folder / "kustomize-controller.log", env=environ)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.stop()
        for name in self._world.kubectl("get", KUSTOMIZATION, "-o", "name").split():
            self._world.kubectl("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')

    def wait_verdict(self, name: str, revision: str, reason: str) -> Body:
        """Wait until a Kustomization says this about a revision that it has tried; its condition Ready."""
        assert self._process is not None

        def holds() -> bool:
            attempted = self._world.status(name, KUSTOMIZATION).get("lastAttemptedRevision")
            return attempted == revision and self._ready(name).get("reason") == reason

        self._process.wait_until(holds, what=f"done with {name}: {reason}", seconds=90)
        return self._ready(name)

    def _ready(self, name: str) -> Body:
        return self._world.condition(name, "Ready", KUSTOMIZATION)


class _Quiet(SimpleHTTPRequestHandler):
    """Hands out files, and does not write to standard error about it."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        del format, args


def _archive(tree: Mapping[str, str]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for path, text in sorted(tree.items()):
            content = text.encode()
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


def folder_tree(folder: Path, at: str) -> dict[str, str]:
    """The YAML files of a folder, by the path that they shall have in a tree."""
    return {f"{at}/{path.name}": path.read_text() for path in sorted(folder.glob("*.yaml"))}
