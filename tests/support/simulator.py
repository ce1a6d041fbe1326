"""The simulator as a real process for tests, and a minimal signed caller that shares no code with anything under test.

`SimulatorProcess` is a context manager; it may be stopped, killed and started again, same port, same state.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from dispersed_simulator.control_client import ControlClient

PUBLIC_KEY = "pk_sim_demo"
SECRET_KEY = "sk_sim_demo"
START_SECONDS = 60.0
STOP_SECONDS = 20.0


class SimulatorProcess:
    """One simulator process. keys: PUBLIC:SECRET[:ACCOUNT]; options: further command-line options."""

    def __init__(self, directory: Path, *, keys: Sequence[str] = (), options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.state_file = directory / "simulator-state.json"
        self.log_file = directory / "simulator.log"
        self._port_file = directory / "simulator-url"
        self._keys = tuple(keys)
        self._options = tuple(options)
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._control: ControlClient | None = None

    def __enter__(self) -> SimulatorProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """The address without a path, such as `http://127.0.0.1:40001`; it stays the same over a restart."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None, "the simulator is not running"
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while the process runs."""
        assert self._process is not None, "the simulator is not running"
        return self._process.poll()

    @property
    def control(self) -> ControlClient:
        """A client of the control surface."""
        assert self._control is not None, "the simulator is not running"
        return self._control

    def caller(self, public: str = PUBLIC_KEY, secret: str = SECRET_KEY) -> SignedCaller:
        """A caller that signs with a key."""
        return SignedCaller(self.base_url, public=public, secret=secret)

    def start(self) -> None:
        """Start the process and wait until it answers. Raises RuntimeError with its log if it ends instead."""
        assert self._process is None, "the simulator is running already"
        self._port_file.unlink(missing_ok=True)
        command = [
            sys.executable, "-m", "dispersed_simulator.cli", "--port", str(self._port),
            "--port-file", str(self._port_file), "--state-file", str(self.state_file), *self._options,
        ]  # fmt: skip
        for key in self._keys:
            command += ["--key", key]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._port_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._end(signal.SIGKILL)
                raise RuntimeError(f"the simulator did not start: {self.log_file.read_text()}")
            time.sleep(0.02)
        self._port = int(self._port_file.read_text().strip().rsplit(":", 1)[1])
        self._control = ControlClient(self.base_url)

    def stop(self) -> int:
        """End the process as an orchestrator would (SIGTERM) and return its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process without any chance to tidy up (SIGKILL)."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start again on the same port with the same state."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> int:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            os.kill(process.pid, number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"the simulator did not end: {self.log_file.read_text()}") from None


class SignedCaller:
    """Signs as the API reference §2 says, with the simplest code that could be right."""

    def __init__(self, base_url: str, *, public: str = PUBLIC_KEY, secret: str = SECRET_KEY) -> None:
        self._base_url = base_url
        self._public = public
        self._secret = secret

    def headers(
        self, method: str, path: str, query: str, body: bytes, *, time_ms: int | None = None, nonce: str | None = None
    ) -> dict[str, str]:
        """The four headers and the content type."""
        sent_at = str(int(time.time() * 1000) if time_ms is None else time_ms)
        once = nonce or secrets.token_hex(16)
        text = "|".join((self._public, sent_at, once, method, path, query, hashlib.sha256(body).hexdigest()))
        signature = hmac.new(self._secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        return {
            "X-API-Key": self._public, "X-Time": sent_at, "X-Nonce": once, "X-Signature": signature,
            "Content-Type": "application/json",
        }  # fmt: skip

    def call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        time_ms: int | None = None,
        timeout_seconds: float = 30.0,
    ) -> httpx.Response:
        """One signed request on a connection of its own. headers: send these instead of fresh ones."""
        raw = b"" if body is None else json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        pairs = sorted((query or {}).items())
        text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
        fresh = headers or self.headers(method, path, text, raw, time_ms=time_ms)
        url = f"{self._base_url}{path}{'?' if text else ''}{text}"
        with httpx.Client(trust_env=False, timeout=timeout_seconds) as client:
            return client.request(method, url, content=raw, headers=fresh)

    def create(self, title: str, **fields: Any) -> httpx.Response:
        """Create a small BATCH job, or what the fields say."""
        return self.call("POST", "/v1/jobs", body=job_body(title, **fields))

    def cancel(self, uuid: str) -> httpx.Response:
        """Cancel a job."""
        return self.call("PUT", f"/v1/jobs/{uuid}/cancel", body={"reason": "test"})

    def job(self, uuid: str) -> httpx.Response:
        """Read a job."""
        return self.call("GET", f"/v1/jobs/{uuid}")

    def jobs(self, **query: str) -> httpx.Response:
        """List jobs; filter names are written filter[name]."""
        return self.call("GET", "/v1/jobs", query=query)


def wait_until(check: Callable[[], Any], *, seconds: float = 30.0) -> Any:
    """Ask again until the answer is true, and return it. Raises AssertionError when the time is up."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)
    return found


def job_body(title: str, **fields: Any) -> dict[str, Any]:
    """A valid create body. container=…: fields of the container object."""
    container = {"image": "example/worker", "tag": "v1"} | fields.pop("container", {})
    task = fields.get("task", "BATCH")
    body = {
        "task": task, "title": title, "max_timeout_run_ms": None if task == "PERSISTENT" else 900_000,
        "parameters": {"type": "docker", "parameters": container},
    }  # fmt: skip
    return body | fields
