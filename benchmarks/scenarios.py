"""The scenarios of a working day: create, rest, changes, deletes, a restart.

Each is a function of a stage and a size that gives the figures of one cell. CPU is the contender's own; latencies run
from the user's call, or the change at the service, to the moment that the other side's log holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks import meters
from benchmarks.audit import first_write
from benchmarks.cells import Figures
from benchmarks.contenders import OPERATOR, TEXTBOOK
from benchmarks.figures import distances, doubles, first_full_poll, freshness, percentile, poll_is_over, rounded, spread
from benchmarks.stage import Stage, pace, patience

Scenario = Callable[[Stage, int], Figures]
ARRIVALS = 100
CHANGES = 1000
_CHANGE_SECONDS = 300.0
_CANCEL_SECONDS = 30.0
_AFTERMATH_SECONDS = 2.0
"""What follows the event that is measured belongs to its price: events, annotations, further writes."""
_REST_SECONDS = {OPERATOR: 0.06}
_RIVALS_REST_SECONDS = 0.012
"""A rest is looked at so much longer for each resource. With 10,000 the operator does within that time whole polls, a
sweep and its own LIST. What is rarer is not in it: an account's examination each hour, and the writes of costs, which
begin after hours. Everything that a rival repeats takes seconds."""
_FADE_SECONDS = 20.0
"""So long after the last start of a job its contender is at rest."""


def burst(stage: Stage, size: int) -> Figures:
    """So many new resources at once, with none there before."""
    return _create(stage, size, size)


def arrivals(stage: Stage, size: int) -> Figures:
    """A hundred more, with so many there already."""
    stage.ensure(size)
    return _create(stage, ARRIVALS, size)


def _create(stage: Stage, count: int, size: int) -> Figures:
    names = stage.new_names(count)
    stage.forget()

    def recorded() -> bool:
        if stage.calls() - calls < count:
            return False
        statuses = stage.cluster.jobs()
        return all(statuses.get(name, {}).get("jobUUID") for name in names)

    with stage.sampled():
        calls, cpu, begun = stage.calls(), stage.cpu(), time.time()
        asked = stage.cluster.create(names)
        stage.wait_for(recorded, seconds=patience(size), every=pace(size))
        ended = time.time()
        time.sleep(_AFTERMATH_SECONDS)
        used, called = stage.cpu() - cpu, stage.calls() - calls
    received = stage.received()
    waited, missing = distances(asked, received, now=ended)
    done = count - missing
    writes = [request for request in stage.writes() if request.name in asked]
    return spread("apply_to_post", waited) | {
        "missing": missing,
        "creates_per_s": rounded(done / (max(received.values(), default=ended) - begun), 1),
        "cpu_per_create_ms": rounded(used / done * 1000, 2) if done else None,
        "calls_per_create": rounded(called / done, 2) if done else None,
        "writes_per_create": rounded(len(writes) / done, 2) if done else None,
        "doubles": doubles(row["title"] for row in stage.control.jobs(summary=True)),
    }


def steady(stage: Stage, size: int) -> Figures:
    """Nothing happens."""
    live = stage.ensure(size)
    time.sleep(_FADE_SECONDS)
    window = stage.window + size * _REST_SECONDS.get(stage.contender.name, _RIVALS_REST_SECONDS)
    stage.forget()
    with stage.sampled():
        calls, cpu, begun = stage.calls(), stage.cpu(), time.time()
        time.sleep(window)
        used, asked, seconds = stage.cpu() - cpu, stage.calls() - calls, time.time() - begun
    looks = freshness(stage.requests("GET"), len(live))
    return {
        "idle_cpu_percent": rounded(used / seconds * 100, 2),
        "calls_per_job_hour": rounded(asked / len(live) / seconds * 3600, 2),
        "freshness_p50_s": rounded(percentile(looks, 0.5), 1),
        "freshness_p95_s": rounded(percentile(looks, 0.95), 1),
        "writes": len(stage.writes()),
        "memory_mib": rounded(meters.resident_mib(stage.contender.pid), 1),
    }


def restart(stage: Stage, size: int) -> Figures:
    """An orderly end and a new start, with nothing changed."""
    live = stage.ensure(size)
    stage.contender.stop()
    begun = stage.start_contender()
    ready = time.time() - begun

    stage.wait_polled(live.values(), since=begun, seconds=patience(size))
    return {
        "posts": sum(row["path"] == "/v1/jobs" for row in stage.requests("POST")),
        "patches": len(stage.writes()),
        "ready_s": rounded(ready, 2),
        "first_poll_s": first_full_poll(stage.requests("GET"), live.values(), start=begun),
        "cpu_s": rounded(stage.cpu(), 2),
    }


def storm(stage: Stage, size: int) -> Figures:
    """Up to a thousand jobs end at once, as the service has it: just after a poll, where the contender lists, so that
    the figure is that of the worst moment and not of a chance."""
    live = stage.ensure(size)
    chosen = dict(list(live.items())[:CHANGES])
    stage.forget()
    if stage.contender.name != TEXTBOOK:
        stage.wait(
            lambda: poll_is_over(stage.requests("GET"), len(live), now=time.time()),
            what="a poll is over",
            seconds=patience(size),
        )
    changed: dict[str, float] = {}
    told: dict[str, float] = {}
    amount = 0

    def known() -> bool:
        nonlocal amount
        fresh = stage.writes()
        amount += len(fresh)
        told.update({name: at for name, at in first_write(fresh, changed).items() if name not in told})
        return len(told) == len(changed)

    with stage.sampled():
        calls, cpu = stage.calls(), stage.cpu()
        for name, uuid in chosen.items():
            changed[name] = time.time()
            stage.control.force_status(uuid, "COMPLETED")
        stage.wait_for(known, seconds=_CHANGE_SECONDS)
        written, missing = distances(changed, told, now=time.time())
        time.sleep(_AFTERMATH_SECONDS)
        used, called = stage.cpu() - cpu, stage.calls() - calls
    amount += len(stage.writes())
    return spread("change_to_status", written) | {
        "missing": missing,
        "cpu_per_change_ms": rounded(used / len(changed) * 1000, 2),
        "calls_per_change": rounded(called / len(changed), 2),
        "writes_per_change": rounded(amount / len(changed), 2),
    }


def departures(stage: Stage, size: int) -> Figures:
    """A hundred deletes, with so many there."""
    live = stage.ensure(size)
    return _delete(stage, dict(list(live.items())[:ARRIVALS]), size)


def mass_delete(stage: Stage, size: int) -> Figures:
    """All are deleted at once."""
    figures = _delete(stage, stage.ensure(size), size)
    gone = stage.wait_for(lambda: not stage.cluster.jobs(), seconds=patience(size), every=pace(size))
    stage.wait_for(lambda: stage.control.health()["live_jobs"] == 0, seconds=_CANCEL_SECONDS)
    return figures | {
        "left": 0 if gone else len(stage.cluster.jobs()),
        "leaks": int(stage.control.health()["live_jobs"]),
    }


def _delete(stage: Stage, chosen: dict[str, str], size: int) -> Figures:
    stage.forget()
    names = {uuid: name for name, uuid in chosen.items()}
    received: dict[str, float] = {}

    def cancelled() -> bool:
        for row in stage.requests("PUT"):
            name = names.get(row["path"].split("/")[3])
            if name is not None:
                received.setdefault(name, row["at_ms"] / 1000)
        return len(received) == len(chosen)

    with stage.sampled():
        calls, cpu = stage.calls(), stage.cpu()
        asked = stage.cluster.delete(chosen)
        stage.wait_for(cancelled, seconds=patience(size), every=pace(len(chosen)))
        waited, missing = distances(asked, received, now=time.time())
        # Whoever verifies the end pays for it after the cancel.
        stage.wait_for(lambda: chosen.keys().isdisjoint(stage.cluster.jobs()), seconds=patience(size), every=pace(size))
        time.sleep(_AFTERMATH_SECONDS)
        used, called = stage.cpu() - cpu, stage.calls() - calls
    return spread("delete_to_cancel", waited) | {
        "missing": missing,
        "cpu_per_delete_ms": rounded(used / len(chosen) * 1000, 2),
        "calls_per_delete": rounded(called / len(chosen), 2),
    }
