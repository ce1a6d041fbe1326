"""Simulated users: they create, delete and edit jobs, and strip what the operator has written on them.

They keep to one rule, because breaking it may make a double (protocol, "What remains"): records are stripped only after
the outcome of the create is recorded. An orphan, a resource whose finalizer is stripped right before it is deleted, is
made on purpose and counted: the sweep has to end its job.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.chaos_real.arena import Arena
from tests.chaos_real.checker import Violation, momentary_breaches
from tests.chaos_real.cluster import RefusedError
from tests.chaos_real.evidence import FINALIZER, INTENT, job_of, resource_of

Body = dict[str, Any]
EXPECTED_REFUSALS = {404, 409, 422}


class Users:
    """All users of the namespace, and what they know: every resource that they made."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._made = 0
        self.known: dict[str, str] = {}
        self.gone_ms: dict[str, int] = {}
        self.unheld: set[str] = set()
        self.asked_again: Counter[str] = Counter()
        self.orphaned = arena.witness.orphaned
        self.done: Counter[str] = Counter()

    def create(self, rng: random.Random, *, persistent: bool | None = None) -> str:
        """One more job; its name."""
        self._made += 1
        name = f"job-{self._made}"
        kind = rng.random() < 0.6 if persistent is None else persistent
        stored = self._arena.cluster.create_job(name, persistent=kind)
        mark = resource_of(stored).mark
        self.known[mark] = f"{name} ({stored['metadata']['uid']})"
        self.done["create"] += 1
        return name

    def act(self, rng: random.Random, *, lists_may_lag: bool) -> None:
        """One random act on a random job; what the API server refuses (422: an edit of a locked field) is counted."""
        bodies = [body for body in self._arena.cluster.jobs() if "deletionTimestamp" not in body["metadata"]]
        if len(bodies) < 3 or rng.random() < 0.15:
            self.create(rng)
            return
        recorded = [body for body in bodies if _is_recorded(body)]
        acts: list[tuple[int, Callable[[Body, random.Random], None]]] = [
            (4, self._delete), (2, self._edit), (2, self._strip_annotations), (1, self._strip_finalizer),
            (1, self._strip_status), (2, self._suspend_or_resume),
            (1, self._orphan),
        ]  # fmt: skip
        if not lists_may_lag:
            acts.append((1, self._strip_records))
        act = rng.choices([call for _, call in acts], [weight for weight, _ in acts])[0]
        try:
            act(rng.choice(recorded if recorded and rng.random() < 0.75 else bodies), rng)
        except RefusedError as error:
            if error.status not in EXPECTED_REFUSALS:
                raise
            self.done[f"refused with {error.status}"] += 1

    def patch(self, name: str, patch: Body) -> bool:
        """A merge patch of a job that may have gone meanwhile; False if it has."""
        try:
            self._arena.cluster.patch_job(name, patch)
        except RefusedError as error:
            if error.status != 404:
                raise
            return False
        return True

    def delete(self, name: str) -> None:
        """Delete a job."""
        self._arena.cluster.delete_job(name)
        self.done["delete"] += 1

    def delete_all(self) -> None:
        """Delete every job that may go."""
        for body in self._arena.cluster.jobs():
            if "deletionTimestamp" not in body["metadata"] and self._may_go(body):
                self.delete(body["metadata"]["name"])

    def observe(self) -> list[Violation]:
        """What is wrong at this moment."""
        control = self._arena.control
        before = [job_of(row) for row in control.jobs(live=True, summary=True)]
        bodies = self._arena.cluster.jobs()
        after = [job_of(row) for row in control.jobs(live=True, summary=True)]
        resources = [resource_of(body) for body in bodies]
        known = {mark: name for mark, name in self.known.items() if mark not in self.orphaned}
        found = momentary_breaches(before, resources, after, known=known, unheld=frozenset(self.unheld))
        there, now_ms = {item.mark for item in resources}, self._arena.now_ms()
        for mark in known.keys() - there:
            self.gone_ms.setdefault(mark, now_ms)
        self.unheld -= {item.uid for item in resources if item.held}
        self._arena.witness.check_alive()
        return [*found, *self._arena.witness.found]

    def forget_everything(self) -> None:
        """The jobs and the service's past are gone."""
        self.known.clear()
        self.gone_ms.clear()
        self.asked_again.clear()
        self.orphaned.clear()
        self.unheld.clear()

    # --- acts
    # ---------------------------------------------------------------------------------------------------------------

    def _may_go(self, body: Body) -> bool:
        """Whether nobody has taken the finalizer away, or it is back, or the job has ended and needs none."""
        if FINALIZER in (body["metadata"].get("finalizers") or ()):
            self.unheld.discard(body["metadata"]["uid"])
        recorded = resource_of(body).recorded
        living = {row["uuid"] for row in self._arena.control.jobs(live=True, summary=True)}
        ended = recorded is not None and recorded not in living
        return ended or body["metadata"]["uid"] not in self.unheld

    def _delete(self, body: Body, _: random.Random) -> None:
        if self._may_go(body):
            self.delete(body["metadata"]["name"])

    def _orphan(self, body: Body, _: random.Random) -> None:
        if _is_recorded(body):
            self.orphaned.add(resource_of(body).mark)
            self._strip(body, {"finalizers": None}, "orphan")
            self._arena.cluster.delete_job(body["metadata"]["name"])

    def _edit(self, body: Body, rng: random.Random) -> None:
        word = f"word-{rng.randrange(10_000)}"
        patch: Body = rng.choice(
            [
                {"spec": {"connection": {"secretName": word}}},
                {"metadata": {"labels": {"team": word}}},
                {"spec": {"template": {"title": word}}},
                {"spec": {"template": {"image": f"registry.example.com/team/{word}"}}},
            ]
        )
        self._arena.cluster.patch_job(body["metadata"]["name"], patch)
        self.done["edit"] += 1

    def _suspend_or_resume(self, body: Body, _: random.Random) -> None:
        """Counted as asked for before it is asked."""
        suspended = bool(body["spec"].get("suspend"))
        if suspended:
            self.asked_again[resource_of(body).mark] += 1
        self._arena.cluster.patch_job(body["metadata"]["name"], {"spec": {"suspend": not suspended}})
        self.done["resume" if suspended else "suspend"] += 1

    def _strip_annotations(self, body: Body, _: random.Random) -> None:
        if _is_recorded(body):
            self._strip(body, {"annotations": None}, "strip annotations")

    def _strip_finalizer(self, body: Body, rng: random.Random) -> None:
        if not _is_recorded(body):
            return
        self.unheld.add(body["metadata"]["uid"])
        both: Body = {"finalizers": None} | ({"annotations": None} if rng.random() < 0.5 else {})
        self._strip(body, both, "strip finalizer")

    def _strip_status(self, body: Body, _: random.Random) -> None:
        if _is_recorded(body) and _has_intent_of_the_record(body):
            self._strip_status_of(body)

    def _strip_records(self, body: Body, _: random.Random) -> None:
        if _is_recorded(body):
            stripped = self._strip_status_of(body)
            self._strip(stripped, {"annotations": None}, "strip all records")

    def _strip_status_of(self, body: Body) -> Body:
        version = {"metadata": {"resourceVersion": body["metadata"]["resourceVersion"]}}
        self.done["strip status"] += 1
        return self._arena.cluster.patch_job(body["metadata"]["name"], version | {"status": None}, status=True)

    def _strip(self, body: Body, metadata: Body, act: str) -> None:
        """Only if nothing has changed since it was judged: the resourceVersion says so."""
        fenced = {"metadata": metadata | {"resourceVersion": body["metadata"]["resourceVersion"]}}
        self._arena.cluster.patch_job(body["metadata"]["name"], fenced)
        self.done[act] += 1


def _is_recorded(body: Body) -> bool:
    """Whether the newest create is settled: its uuid is recorded, and no later intent is open."""
    recorded = ((body.get("status") or {}).get("create") or {}).get("uuid") is not None
    return recorded and (INTENT not in _annotations(body) or _has_intent_of_the_record(body))


def _has_intent_of_the_record(body: Body) -> bool:
    create = (body.get("status") or {}).get("create") or {}
    return bool(json.loads(_annotations(body).get(INTENT, "{}")).get("token") == create.get("token"))


def _annotations(body: Body) -> dict[str, str]:
    return body["metadata"].get("annotations") or {}
