"""A witness of every deletion: it watches the API server and, when a resource has gone, looks at once whether its job
lives.

A job that ends a moment after its resource is a leak that nobody finds later, so somebody has to look at that moment.
"""

from __future__ import annotations

import json
import ssl
import threading
from types import TracebackType
from typing import Any

import httpx

from dispersed_devenv.controlplane import ControlPlane
from dispersed_simulator.control_client import ControlClient
from tests.chaos_real.checker import Rule, Violation
from tests.chaos_real.evidence import claim_in, resource_of

RETRY_SECONDS = 0.2


class Witness:
    """Use as a context manager. `found` grows; `deletions` counts what it saw. It outlasts API server and simulator.

    `orphaned` are the marks of resources that users tear from their jobs on purpose.
    """

    def __init__(self, plane: ControlPlane, path: str, simulator_url: str) -> None:
        self._path = path
        self._http = httpx.Client(
            base_url=plane.base_url,
            verify=ssl.create_default_context(cafile=str(plane.ca_file)),
            headers={"Authorization": f"Bearer {plane.admin_token}"},
            timeout=httpx.Timeout(5.0, read=1.0),
            trust_env=False,
        )
        self._control = ControlClient(simulator_url)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)
        self.found: list[Violation] = []
        self.orphaned: set[str] = set()
        self.deletions = 0

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._http.close()
        self._control.close()

    def check_alive(self) -> None:
        """Raises RuntimeError if it does not watch any more: then its silence means nothing."""
        if not self._thread.is_alive():
            raise RuntimeError("the witness of deletions has died")

    def _run(self) -> None:
        version = ""
        while not self._ended.is_set():
            try:
                version = self._watch(version) if version else self._newest()
            except httpx.TransportError:
                self._ended.wait(RETRY_SECONDS)
            except _OutdatedError:
                version = ""

    def _newest(self) -> str:
        answer = self._http.get(self._path)
        if answer.is_error:
            self._ended.wait(RETRY_SECONDS)
            return ""
        return str(answer.json()["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> str:
        """Follow the watch until it ends or is silent for a moment; the version to go on from."""
        query = {"watch": "true", "resourceVersion": version}
        with self._http.stream("GET", self._path, params=query) as answer:
            if answer.is_error:
                self._ended.wait(RETRY_SECONDS)
                raise _OutdatedError
            try:
                for line in answer.iter_lines():
                    version = self._see(json.loads(line))
            except httpx.ReadTimeout:
                return version
        return version

    def _see(self, event: dict[str, Any]) -> str:
        if event["type"] == "ERROR":
            raise _OutdatedError
        if event["type"] == "DELETED":
            self.deletions += 1
            self._look(event["object"])
        return str(event["object"]["metadata"]["resourceVersion"])

    def _look(self, body: dict[str, Any]) -> None:
        resource = resource_of(body)
        try:
            rows = self._control.jobs(live=True, summary=True)
        except httpx.TransportError:
            return  # the service is down; what still lives when it is back is found by the other looks
        for row in rows:
            claim = claim_in(row["title"])
            if claim is not None and claim.uid_mark == resource.mark and resource.mark not in self.orphaned:
                text = f"{row['uuid']} lived when {resource.name} ({resource.uid}) went"
                self.found.append(Violation(Rule.NOT_BEFORE_ITS_END, text))


class _OutdatedError(Exception):
    """The watch cannot go on from its version."""
