"""The service in-process on a virtual clock, with a signer."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

from dispersed_simulator.auth import SignedRequest
from dispersed_simulator.clock import VirtualClock
from dispersed_simulator.engine import Engine
from dispersed_simulator.records import ApiKey, Fate, FateRule, Job
from dispersed_simulator.service import Reply, Service
from dispersed_simulator.wire import JsonObject
from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SignedCaller, job_body

ACCOUNT = "11111111-1111-4111-8111-111111111111"


class World:
    """One simulated service with one key, at a standing clock."""

    def __init__(self, *, seed: int = 7) -> None:
        self.clock = VirtualClock()
        rng = random.Random(seed)
        self.service = Service(clock=self.clock, engine=Engine(rng=rng), rng=rng)
        self.service.keys[PUBLIC_KEY] = ApiKey(PUBLIC_KEY, SECRET_KEY, ACCOUNT)
        self.engine = self.service.engine
        self.switches = self.engine.switches
        self.faults = self.service.faults
        self._signer = SignedCaller("")

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        age_seconds: float = 0,
        nonce: str | None = None,
        signer: SignedCaller | None = None,
    ) -> SignedRequest:
        """A signed request; age_seconds: how long ago it was signed."""
        raw = b"" if body is None else json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        text = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted((query or {}).items()))
        headers = (signer or self._signer).headers(
            method, path, text, raw, time_ms=self.clock.now_ms() - round(age_seconds * 1000), nonce=nonce
        )
        return SignedRequest(method, path, text, {name.lower(): value for name, value in headers.items()}, raw)

    def call(self, method: str, path: str, **options: Any) -> Reply:
        """Sign and send."""
        return self.service.handle(self.request(method, path, **options))

    def create(self, title: str = "a job", **fields: Any) -> Reply:
        """Create a job."""
        return self.call("POST", "/v1/jobs", body=job_body(title, **fields))

    def new_job(self, title: str = "a job", *, fate: Fate | None = None, **fields: Any) -> Job:
        """Create a job and return its record."""
        if fate is not None:
            self.engine.fate_rules.append(FateRule(title, fate))
        reply = self.create(title, **fields)
        assert reply.status in {200, 201}, reply.body
        return list(self.engine.store.jobs.values())[-1]

    def advance(self, seconds: float) -> None:
        """Step the clock and play what is due."""
        self.clock.advance(seconds)
        self.service.advance()


def payload(reply: Reply) -> Any:
    """The JSON of an answer."""
    return json.loads(reply.body)


def code(reply: Reply) -> str:
    """The error code of a refusal."""
    return str(payload(reply)["error"]["code"])


def rows(reply: Reply) -> list[JsonObject]:
    """The rows of a list."""
    return list(payload(reply)["data"])
