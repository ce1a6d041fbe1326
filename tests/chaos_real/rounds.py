"""One round: chaos until enough was killed, then rest, then judgement.

Rest means: faults cleared, everything alive, the service's clock stepped past the proof windows as often as a lookup
may need, and every resource looked at in between. What is wrong then stays wrong.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.chaos_real.arena import Arena, StuckError
from tests.chaos_real.checker import Violation, breaches, overlaps, remainders
from tests.chaos_real.evidence import Evidence
from tests.chaos_real.ledger import Round
from tests.chaos_real.strikes import Strikes
from tests.chaos_real.users import Users

STEPS = (430.0, 31.0)
MOST_STEPS = 16
REST_SECONDS = 6.0
LOOK_SECONDS = 45.0
SWEEP_SECONDS = 8.0
ROUNDS_OF_A_PAST = 4
FOREIGN_TITLES = ("kd1-abcdef-01234567-01abcdefghijkl-zzzzzzzzzzzz-zz of another cluster", "a person's own job")


class Chaos:
    """Rounds in one arena. `violations_folder` receives the evidence of a round that broke a rule."""

    def __init__(self, arena: Arena, *, seed: int, violations_folder: Path) -> None:
        self._arena = arena
        self._seed = seed
        self._folder = violations_folder
        self._users = Users(arena)
        self._strangers: frozenset[str] = frozenset()
        self._adopted: set[str] = set()
        self._judged = (0, 0, 0)
        self._age = 0

    def play(self, number: int, *, kills: int) -> Round:
        """One round with at least so many kills."""
        started = time.monotonic()
        rng = random.Random(f"{self._seed}/{number}")
        result = Round(number)
        if not self._strangers:
            self._plant_strangers()
        self._users.done.clear()
        try:
            found = self._fight(rng, result, kills) or self._judge(result)
            self._age += 1
            if not found and self._age >= ROUNDS_OF_A_PAST:
                found = self._end_of_the_past(result)
        except StuckError as error:
            result.violations.append(str(error))
            found = []
        result.violations += [f"{item.rule}: {item.detail}" for item in found]
        result.acts = dict(self._users.done)
        result.ended_by_themselves = dict(self._arena.ended_by_themselves)
        self._arena.ended_by_themselves.clear()
        result.seconds = round(time.monotonic() - started, 1)
        if result.violations:
            self._keep_evidence(result)
        return result

    # --- chaos
    # --------------------------------------------------------------------------------------------------------------

    def _fight(self, rng: random.Random, result: Round, kills: int) -> list[Violation]:
        lists_may_lag = rng.random() < 0.4
        strikes = Strikes(self._arena, self._users, rng, lists_may_lag=lists_may_lag)
        done: Counter[str] = Counter()
        faults: Counter[str] = Counter()
        found: list[Violation] = []
        self._arena.start_operators()
        for _ in range(3):
            self._users.create(rng)
        while done.total() < kills and not found:
            for _ in range(rng.choice([0, 1, 1, 2])):
                faults[strikes.add_fault()] += 1
            if rng.random() < 0.5:
                strikes.keep_busy()
            if rng.random() < 0.4:
                strikes.let_work()
            done += strikes.any()
            found = self._users.observe()
            if rng.random() < 0.8:
                self._arena.start_operators()
        result.kills, result.faults = dict(done), dict(faults)
        return found

    # --- rest
    # ---------------------------------------------------------------------------------------------------------------

    def _judge(self, result: Round) -> list[Violation]:
        """Come to rest, and say what is wrong then."""
        evidence = self._come_to_rest(result)
        if not breaches(evidence) and not remainders(evidence):
            # What is at rest stays so: another look of the operators, later, must change nothing.
            self._step(STEPS[1])
            evidence = self._evidence()
        self._count(evidence, result)
        return [*breaches(evidence), *remainders(evidence), *self._users.observe()]

    def _come_to_rest(self, result: Round) -> Evidence:
        arena = self._arena
        arena.control.clear_faults()
        arena.resume_all()
        arena.start_operators(wait=True)
        arena.watch_for(lambda: not remainders(self._evidence()), seconds=REST_SECONDS)
        evidence = self._evidence()
        for step in range(MOST_STEPS):
            if breaches(evidence) or not remainders(evidence):
                break
            self._step(STEPS[step % 2])
            result.steps_to_rest += 1
            arena.watch_for(lambda: not remainders(self._evidence()), seconds=self._patience())
            evidence = self._evidence()
        return evidence

    def _patience(self) -> float:
        """Seconds to wait after a step. A sweep comes by itself: nobody can ask for it."""
        return SWEEP_SECONDS if self._users.orphaned else 1.0

    def _step(self, seconds: float) -> None:
        """Step the clock, and have the operators look at the account and at every resource."""
        arena = self._arena
        arena.control.advance(seconds)
        stamp = str(time.monotonic_ns())
        arena.cluster.nudge_account(stamp)
        asked = []
        for body in arena.cluster.jobs():
            note = {"metadata": {"annotations": {"dispersed.dev/reconcile-requested-at": stamp}}}
            name = body["metadata"]["name"]
            if self._users.patch(name, note):
                asked.append(name)
        arena.wait_for(
            lambda: not any(self._waits(name, stamp) for name in asked),
            what=f"{', '.join(asked)} were looked at", seconds=LOOK_SECONDS,
        )  # fmt: skip
        arena.wait_for(arena.cluster.account_ready, what="the account is ready", seconds=LOOK_SECONDS)

    def _waits(self, name: str, stamp: str) -> bool:
        body = self._arena.cluster.job(name)
        return body is not None and (body.get("status") or {}).get("lastHandledReconcileAt") != stamp

    def _end_of_the_past(self, result: Round) -> list[Violation]:
        """Delete everything; nothing of ours may live then. Afterwards the service begins anew, so that lists stay
        short."""
        self._users.delete_all()
        evidence = self._come_to_rest(result)
        found = [*breaches(evidence), *remainders(evidence), *self._users.observe()]
        self._count(evidence, result)
        if not found:
            for name in self._arena.operators:
                self._arena.kill_operator(name)
            self._arena.forget_everything()
            self._users.forget_everything()
            self._strangers, self._judged, self._age = frozenset(), (0, 0, 0), 0
        return found

    # --- figures and evidence
    # -----------------------------------------------------------------------------------------------

    def _plant_strangers(self) -> None:
        control = self._arena.control
        rows = [control.insert_job(title, task="PERSISTENT") for title in FOREIGN_TITLES]
        self._strangers = frozenset(row["uuid"] for row in rows)

    def _evidence(self) -> Evidence:
        return self._arena.evidence(strangers=self._strangers, asked_again=self._users.asked_again)

    def _count(self, evidence: Evidence, result: Round) -> None:
        adopted = self._arena.cluster.events("Adopted") - self._adopted
        self._adopted |= adopted
        result.adoptions += len(adopted)
        known, jobs = len(self._users.known), len(evidence.jobs) - len(self._strangers)
        before, self._judged = self._judged, (known, len(evidence.posts), jobs)
        result.resources += known - before[0]
        result.posts += len(evidence.posts) - before[1]
        result.jobs += jobs - before[2]
        lengths = overlaps(evidence.jobs, gone_ms=self._users.gone_ms, now_ms=self._arena.now_ms())
        result.longest_double = max(result.longest_double, lengths.longest_double)
        result.longest_leak = max(result.longest_leak, lengths.longest_leak)

    def _keep_evidence(self, result: Round) -> None:
        folder = self._folder / f"seed-{self._seed}-round-{result.number}"
        folder.mkdir(parents=True, exist_ok=True)
        evidence = self._evidence()
        rows = sorted(self._arena.rows.values(), key=lambda row: row["at_ms"])
        (folder / "requests.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        (folder / "evidence.json").write_text(json.dumps(asdict(evidence), indent=1, default=sorted))
        (folder / "resources.json").write_text(json.dumps(self._arena.cluster.jobs(), indent=1))
        (folder / "round.json").write_text(json.dumps(asdict(result), indent=1))
        for name, service in self._arena.operators.items():
            if service.log.exists():
                shutil.copy(service.log, folder / f"{name}.log")
