"""The scenarios of a bad day: a leader that is killed, one that sleeps for a minute, a service that is away.

What is measured beside the time is the harm: jobs that exist twice, jobs that nobody wants, writes of a process that
does not lead any more.
"""

from __future__ import annotations

import signal
import time

from benchmarks.cells import Figures
from benchmarks.contenders import ROOT, Ours
from benchmarks.figures import busiest_second, doubles, first_full_poll, rounded
from benchmarks.stage import Stage, StageError, names_of, patience

_LEASE_ROLE = ROOT / "manifests" / "components" / "high-availability" / "role.yaml"
_ELECT = ("--leader-elect", "true")
_ASLEEP_SECONDS = 60.0
_TAKEOVER_SECONDS = 180.0
OUTAGE_SECONDS = 600.0
_RECOVERY_SECONDS = 600.0


def failover(stage: Stage, size: int) -> Figures:
    """Two replicas: the leader is killed; then the next leader sleeps for a minute and wakes up."""
    stage.ensure(size)
    stage.contender.stop()
    stage.plane.apply(_LEASE_ROLE)
    first, second = _replica(stage, "first"), _replica(stage, "second")
    _lead(stage, first)
    second.start()
    _polled(stage, size)
    first.service.kill()
    stage.contender = second
    killed = _takeover(stage)

    third = _replica(stage, "third")
    third.start()
    _polled(stage, size)
    stage.wait(third.service.ready, what="the next standby is ready", seconds=60)
    second.service.process.send_signal(signal.SIGSTOP)
    asleep = time.time()
    stage.contender = third
    slept = _takeover(stage)
    time.sleep(max(0.0, asleep + _ASLEEP_SECONDS - time.time()))
    awake = time.time()
    second.service.process.send_signal(signal.SIGCONT)
    ended = stage.wait_for(lambda: not second.running, seconds=60)
    over = time.time() - awake
    _polled(stage, size)
    jobs = stage.control.jobs(summary=True)
    resources = stage.cluster.jobs()
    third.stop()
    stage.contender = stage.make_contender()
    stage.start_contender()
    _polled(stage, size)  # what comes next begins with a start that is over
    return {
        "kill_to_reconcile_s": killed,
        "sleep_to_reconcile_s": slept,
        "old_leader_ended_s": rounded(over, 2) if ended else None,
        "doubles": doubles(row["title"] for row in jobs),
        "leaks": sum(1 for name in names_of(job for job in jobs if job["live"]) if name not in resources),
    }


def _replica(stage: Stage, name: str) -> Ours:
    made = stage.make_contender(name, _ELECT)
    assert isinstance(made, Ours)
    return made


def _lead(stage: Stage, replica: Ours) -> None:
    stage.contender = replica
    replica.start()
    stage.wait(lambda: replica.leads, what=f"{replica.name} leads", seconds=_TAKEOVER_SECONDS)


def _polled(stage: Stage, size: int) -> None:
    """Wait until the leader has asked the service about everything once more."""
    stage.control.clear_requests()
    if not stage.wait_polled(stage.live().values(), since=time.time(), seconds=patience(size)):
        raise StageError("the leader did not ask about everything")


def _takeover(stage: Stage) -> float | None:
    """Seconds from now until a resource that is created now has its create request at the service."""
    begun = time.time()
    [name] = stage.new_names(1)
    stage.cluster.create([name])
    stage.wait_for(lambda: name in stage.live(), seconds=_TAKEOVER_SECONDS, every=0.5)
    received = stage.received().get(name)
    return None if received is None else rounded(received - begun, 2)


def outage(stage: Stage, size: int) -> Figures:
    """The service answers 503 for ten minutes; in the middle of it a resource is created."""
    live = stage.ensure(size)
    stage.forget()
    calls = len(stage.requests())
    fault = stage.control.add_fault("server_error", times=None, status=503)
    cpu, begun = stage.cpu(), time.time()
    [name] = stage.new_names(1)
    time.sleep(OUTAGE_SECONDS / 2)
    stage.cluster.create([name])
    time.sleep(OUTAGE_SECONDS / 2)
    used, seconds = stage.cpu() - cpu, time.time() - begun
    rows = stage.requests()
    written = stage.writes()
    stage.control.clear_requests()
    stage.control.remove_fault(fault)
    back = time.time()

    stage.wait_for(lambda: name in stage.live(), seconds=_RECOVERY_SECONDS)
    stage.wait_polled(live.values(), since=back, seconds=_RECOVERY_SECONDS)
    received = stage.received().get(name)
    after = [row["at_ms"] / 1000 for row in stage.requests() if row["at_ms"] / 1000 < back + 60]
    return {
        "cpu_percent": rounded(used / seconds * 100, 2),
        "calls_per_minute": rounded((len(rows) - calls) / seconds * 60, 1),
        "writes": len([request for request in written if request.name in live]),
        "back_to_full_poll_s": first_full_poll(stage.requests("GET"), live.values(), start=back),
        "back_to_post_s": None if received is None else rounded(received - back, 2),
        "busiest_second_after": busiest_second(after),
        "doubles": doubles(row["title"] for row in stage.control.jobs(summary=True)),
    }
