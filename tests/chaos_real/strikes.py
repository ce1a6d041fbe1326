"""Blows: how processes are killed, paused and cut off, at random and at chosen moments of the protocol.

Random waits here are real time on purpose: the point is to hit processes at moments that nobody chose.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.chaos_real.arena import Arena
from tests.chaos_real.evidence import FINALIZER, INTENT
from tests.chaos_real.users import Users

Kills = Counter[str]
AIM_SECONDS = 6.0
CREATES = LISTS = r"^/v1/jobs$"
CANCELS = r"^/v1/jobs/[^/]+/cancel$"

# (kind, method, path, parameters). `forbidden` is not among them: the protocol reads a 403 to a create as a refusal.
FAULTS: tuple[tuple[str, str | None, str | None, dict[str, Any]], ...] = (
    ("drop_before_commit", "POST", CREATES, {}),
    ("drop_after_commit", "POST", CREATES, {}),
    ("drop_after_first_byte", "POST", CREATES, {}),
    ("server_error", "POST", CREATES, {"status": 502}),
    ("server_error", "POST", CREATES, {"status": 502, "commit": True}),
    ("unauthorized", "POST", CREATES, {"commit": True}),
    ("rate_limit", "POST", CREATES, {"commit": True, "retry_after": 1}),
    ("malformed", "POST", CREATES, {"shape": "truncated"}),
    ("duplicate_delivery", "POST", CREATES, {}),
    ("delayed_commit", "POST", CREATES, {"seconds": 90}),
    ("delayed_commit", "POST", CREATES, {"seconds": 400, "verify_at": "delivery"}),
    ("drop_before_commit", None, None, {}),
    ("drop_after_commit", None, None, {}),
    ("server_error", None, None, {"status": 502}),
    ("rate_limit", None, None, {"retry_after": 1}),
    ("malformed", "GET", None, {}),
    ("not_found_burst", None, None, {}),
    ("unknown_status", None, None, {}),
    ("cancel_lost", None, None, {}),
    ("cancel_slow", None, None, {"seconds": 5}),
    ("duplicate_delivery", "PUT", None, {}),
    ("stall", None, None, {"seconds": 1.5}),
)
LAG = ("listing_lag", "GET", LISTS, {"seconds": 20})


class Strikes:
    """Each strike returns the kills that it made, by kind."""

    def __init__(self, arena: Arena, users: Users, rng: random.Random, *, lists_may_lag: bool) -> None:
        self._arena = arena
        self._users = users
        self._rng = rng
        self._lag = lists_may_lag
        self._menu: list[tuple[int, Callable[[], Kills]]] = [
            (4, self.one_at_random), (4, self.all_at_random), (2, self.while_starting),
            (3, self.post_in_flight), (3, self.cancel_in_flight), (2, self.list_in_flight),
            (3, self.after_the_intent), (3, self.after_the_record), (2, self.at_the_end_of_a_deletion),
            (2, self.asleep), (1, self.api_server), (2, self.simulator),
        ]  # fmt: skip

    def any(self) -> Kills:
        """One of all, those that aim at nothing more often."""
        return self._rng.choices([call for _, call in self._menu], [weight for weight, _ in self._menu])[0]()

    def add_fault(self) -> str:
        """One random fault for the next requests; its kind."""
        choices = [*FAULTS, LAG, LAG] if self._lag else FAULTS
        kind, method, path, parameters = self._rng.choice(choices)
        times = self._rng.randint(1, 3)
        self._arena.control.add_fault(kind, method=method, path=path, times=times, **parameters)
        return kind

    def keep_busy(self) -> None:
        """Users do something."""
        for _ in range(self._rng.randint(1, 3)):
            self._users.act(self._rng, lists_may_lag=self._lag)

    def let_work(self) -> None:
        """Let an operator come up and do something, so that there is something to destroy."""
        self._arena.start_operators()
        alive = [self._arena.operators[name] for name in self._arena.alive()]
        self._arena.watch_for(lambda: any(service.ready() for service in alive), seconds=10.0)
        self._wait(2.0)

    # --- at random
    # ----------------------------------------------------------------------------------------------------------

    def one_at_random(self) -> Kills:
        """One operator, whatever it does."""
        self.keep_busy()
        self._wait(2.0)
        return self._kill(self._some(), "operator at random")

    def all_at_random(self) -> Kills:
        """All operators at once."""
        self.keep_busy()
        self._wait(2.5)
        return self._kill(self._arena.alive(), "operator, all at once")

    def while_starting(self) -> Kills:
        """An operator that has just been started."""
        name = self._some()
        kills = self._kill(name, "operator at random")
        self._users.create(self._rng)
        self._arena.start_operators()
        self._wait(1.5)
        return kills + self._kill(name, "operator while it starts")

    # --- aimed
    # --------------------------------------------------------------------------------------------------------------

    def post_in_flight(self) -> Kills:
        """While the simulator holds its answer to a create."""
        self._arena.start_operators()
        before = self._arena.posts()
        if self._rng.random() < 0.6:
            self._arena.control.add_fault(self._rng.choice(["drop_before_commit", "drop_after_commit"]), method="POST")
        stall = self._arena.control.add_fault("stall", method="POST", path=CREATES)
        self._users.create(self._rng)
        self._arena.watch_for(lambda: self._arena.posts() > before, seconds=AIM_SECONDS)
        return self._kill_and_release(stall, "operator, create in flight")

    def cancel_in_flight(self) -> Kills:
        """While the simulator holds its answer to a cancel."""
        self._arena.start_operators()
        stall = self._arena.control.add_fault("stall", method="PUT", path=CANCELS)
        held = [
            body for body in self._arena.cluster.jobs()
            if "jobUUID" in (body.get("status") or {}) and FINALIZER in (body["metadata"].get("finalizers") or ())
        ]  # fmt: skip
        persistent = [body for body in held if body["spec"]["task"] == "Persistent"]
        if persistent:
            self._users.delete(self._rng.choice(persistent)["metadata"]["name"])
        self._arena.watch_for(lambda: self._arena.control.fault_hits(stall) > 0, seconds=AIM_SECONDS / 2)
        return self._kill_and_release(stall, "operator, cancel in flight")

    def list_in_flight(self) -> Kills:
        """While the simulator holds a list."""
        self._arena.start_operators()
        stall = self._arena.control.add_fault("stall", method="GET", path=LISTS)
        self._users.create(self._rng)
        self._arena.watch_for(lambda: self._arena.control.fault_hits(stall) > 0, seconds=AIM_SECONDS)
        return self._kill_and_release(stall, "operator, list in flight")

    def after_the_intent(self) -> Kills:
        """Right after the finalizer and the intent were written."""
        return self._after_create(
            lambda body: INTENT in (body["metadata"].get("annotations") or {}), "operator, intent just written"
        )

    def after_the_record(self) -> Kills:
        """Right after the uuid was written."""
        return self._after_create(
            lambda body: "jobUUID" in (body.get("status") or {}), "operator, record just written"
        )  # fmt: skip

    def at_the_end_of_a_deletion(self) -> Kills:
        """Right after the job ended, about when the finalizer goes."""
        self._arena.start_operators()
        running = [body["metadata"]["name"] for body in self._arena.cluster.jobs() if _is_running(body)]
        if running:
            name = self._rng.choice(running)
            uuid = str((self._body(name).get("status") or {}).get("jobUUID", ""))
            self._users.delete(name)
            self._arena.watch_for(lambda: not uuid or not self._is_live(uuid), seconds=AIM_SECONDS)
            self._wait(0.3)
        return self._kill(self._some(), "operator, deletion about to end")

    def asleep(self) -> Kills:
        """One sleeps (SIGSTOP) while the other works, is perhaps killed, and time perhaps passes; then it wakes."""
        self._arena.start_operators()
        self._users.create(self._rng)
        self._wait(1.0)
        sleeper = self._some()[0]
        self._arena.pause(sleeper)
        self.keep_busy()
        self._wait(2.0)
        kills: Kills = Counter()
        if self._rng.random() < 0.5:
            others = [name for name in self._arena.alive() if name != sleeper]
            kills += self._kill(others, "operator beside a sleeping one")
            self._arena.start_operators()
        if self._rng.random() < 0.4:
            self._arena.control.advance(self._rng.choice([31, 430]))
            self._wait(1.5)
        if self._rng.random() < 0.5:
            kills += self._kill([sleeper], "operator asleep")
        self._arena.resume_all()
        return kills

    # --- the others
    # ---------------------------------------------------------------------------------------------------------

    def api_server(self) -> Kills:
        """The API server goes and comes again, perhaps with operators that go meanwhile."""
        self._users.create(self._rng)
        self._wait(1.0)
        self._arena.plane.kill_apiserver()
        kills: Kills = Counter({"kube-apiserver": 1})
        self._wait(1.0)
        if self._rng.random() < 0.5:
            kills += self._kill(self._some(), "operator without an API server")
            self._arena.start_operators()
        self._arena.plane.start_apiserver()
        return kills

    def simulator(self) -> Kills:
        """The service goes and comes again with its state, perhaps in the middle of a create."""
        self._arena.start_operators()
        if self._rng.random() < 0.5:
            self._arena.control.add_fault("stall", method="POST", path=CREATES)
            before = self._arena.posts()
            self._users.create(self._rng)
            self._arena.watch_for(lambda: self._arena.posts() > before, seconds=AIM_SECONDS)
        self._arena.kill_simulator()
        kills: Kills = Counter({"simulator": 1})
        if self._rng.random() < 0.5:
            kills += self._kill(self._some(), "operator without the service")
        self._wait(1.0)
        self._arena.start_simulator()
        return kills

    # --- by hand
    # ------------------------------------------------------------------------------------------------------------

    def _after_create(self, reached: Callable[[dict[str, Any]], bool], kind: str) -> Kills:
        self._arena.start_operators()
        name = self._users.create(self._rng)
        self._arena.watch_for(lambda: reached(self._body(name)), seconds=AIM_SECONDS)
        holder = json.loads((self._body(name)["metadata"].get("annotations") or {}).get(INTENT, "{}")).get("holder")
        aim = [holder] if holder in self._arena.alive() and self._rng.random() < 0.5 else self._arena.alive()
        return self._kill(aim, kind)

    def _kill_and_release(self, stall: str, kind: str) -> Kills:
        kills = self._kill(self._arena.alive() if self._rng.random() < 0.5 else self._some(), kind)
        self._wait(0.3)
        self._arena.control.remove_fault(stall)
        return kills

    def _kill(self, names: list[str], kind: str) -> Kills:
        kills: Kills = Counter()
        for name in names:
            kills[kind] += self._arena.kill_operator(name)
        return +kills

    def _some(self) -> list[str]:
        """One operator; none is running at the moment only if all have ended, and then they are started."""
        if not self._arena.alive():
            self._arena.start_operators()
        return [self._rng.choice(self._arena.alive())]

    def _body(self, name: str) -> dict[str, Any]:
        return self._arena.cluster.job(name) or {"metadata": {}}

    def _is_live(self, uuid: str) -> bool:
        return bool(self._arena.control.job(uuid)["live"])

    def _wait(self, longest: float) -> None:
        time.sleep(self._rng.uniform(0.0, longest))


def _is_running(body: dict[str, Any]) -> bool:
    metadata, status = body["metadata"], body.get("status") or {}
    held = FINALIZER in (metadata.get("finalizers") or ())
    return held and "deletionTimestamp" not in metadata and "jobUUID" in status and body["spec"]["task"] == "Persistent"
