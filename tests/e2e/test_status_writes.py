"""A status is written for a difference and for nothing else."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dispersed_devenv.services import OperatorService
from tests.support.world import Body, World, wait_for


def test_polls_and_a_restart_without_news_write_nothing_and_post_nothing(world: World) -> None:
    world.add_persistent()
    world.add_batch()
    world.wait_condition("server", "Ready")
    world.wait_condition("batch", "Complete")
    world.nudge_account()
    wait_for(
        lambda: world.status("default", "dispersedaccount").get("liveJobs") == 1, what="the account counts the job"
    )
    before = objects(world)
    wait_for_polls(world)
    assert objects(world) == before
    world.operators[0].stop()
    again = world.start_operator("again")
    wait_for(lambda: counted(again, "reconcile_total") >= 2, what="the new process has looked at both jobs")
    wait_for_polls(world)
    assert objects(world) == before
    assert len(world.posts()) == 2
    world.delete("server")
    world.wait_gone("server")
    world.check_truth()


def test_the_life_of_a_batch_job_takes_no_more_writes_than_its_transitions_and_two(world: World) -> None:
    world.control.add_fate("batch", assign_seconds=2.5, pull_seconds=2.5, run_seconds=2.5)
    world.add_batch("other", accountRef={"name": "nobody"})
    with watched(world) as seen:
        wait_for(lambda: len(seen("other")) > 0, what="the watch has begun")
        world.add_batch()
        world.wait_condition("batch", "Complete")
        final = (world.get("batch") or {})["metadata"]["resourceVersion"]
        wait_for(
            lambda: final in [item["metadata"]["resourceVersion"] for item in seen("batch")], what="the watch is done"
        )
        bodies = seen("batch")
    told = [stage(item) for item in bodies]
    transitions = sum(1 for before, after in itertools.pairwise(told) if before != after)
    writes = len({item["metadata"]["resourceVersion"] for item in bodies}) - 1
    assert told[0] == (None, None), "the watch saw the resource before the operator wrote"
    assert told[-1] == ("Succeeded", "Completed")
    assert 4 <= transitions <= writes <= transitions + 2, told
    world.delete("other")
    assert len(world.posts()) == 1
    world.check_truth()


def stage(body: Body) -> tuple[str | None, str | None]:
    """Phase and reason of one version of a resource."""
    status = body.get("status") or {}
    ready: Body = next((item for item in status.get("conditions") or () if item["type"] == "Ready"), {})
    return status.get("phase"), ready.get("reason")


def objects(world: World) -> dict[str, Body]:
    """Every resource of the project by name, with its resourceVersion."""
    found = json.loads(world.kubectl("get", "dispersedjobs,dispersedaccounts", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item for item in found}


def counted(operator: OperatorService, name: str) -> float:
    """The sum of a counter over all series of the kind DispersedJob."""
    start = f'dispersed_operator_{name}{{kind="DispersedJob"'
    return sum(float(line.rsplit(" ", 1)[1]) for line in operator.metrics().splitlines() if line.startswith(start))


def wait_for_polls(world: World) -> None:
    """Wait until the operator has listed the live runs once more."""

    def polls() -> int:
        return len(world.control.requests(method="GET", path="/v1/job-runs"))

    before = polls()
    wait_for(lambda: polls() > before, what="another poll went by")


@contextmanager
def watched(world: World) -> Iterator[Callable[[str], list[Body]]]:
    """kubectl --watch; yields a function that returns every version of a resource so far."""
    output: Path = world.folder / "watch.json"
    plane = world.plane
    command = [str(plane.binaries.kubectl), "-n", world.namespace, "get", "dispersedjobs", "--watch", "-o", "json"]
    with output.open("w") as sink:
        process = subprocess.Popen(command, stdout=sink, env=plane.kubectl_environment())

    def seen(name: str) -> list[Body]:
        text, decoder, at = output.read_text(), json.JSONDecoder(), 0
        found: list[Body] = []
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            try:
                item, at = decoder.raw_decode(text, at)
            except json.JSONDecodeError:  # the last version is being written at this moment
                break
            if item["metadata"].get("name") == name:
                found.append(item)
        return found

    try:
        yield seen
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(10)
