"""What people type: kubectl wait, get, describe, annotate behave as for a Job of Kubernetes itself."""

from __future__ import annotations

import pytest

from tests.support.world import World, wait_for

COLUMNS = ["NAME", "TASK", "STATUS", "READY", "GPU", "ENDPOINT", "RATE", "RUNTIME", "AGE"]
WIDE = [*COLUMNS, "UUID", "RUNS", "COST", "REASON", "MESSAGE", "ACCOUNT"]


@pytest.mark.reason("Running")
@pytest.mark.reason("Completed")
@pytest.mark.reason("Accepted")
def test_kubectl_wait_get_and_describe_tell_the_story_of_a_job(world: World) -> None:
    world.control.add_fate(" bad", exit_code=2)
    world.add_persistent()
    world.add_batch("good")
    world.add_batch("bad")
    for name, condition in (("server", "Ready"), ("good", "Complete"), ("bad", "Failed")):
        world.kubectl("wait", f"dispersedjob/{name}", f"--for=condition={condition}", "--timeout=30s")

    header, *rows = world.kubectl("get", "djob").splitlines()
    assert header.split() == COLUMNS
    table = {row.split()[0]: row for row in rows}
    status = world.status("server")
    assert table["server"].split()[1:4] == ["Persistent", "Running", "True"]
    assert status["endpoints"][0]["url"] in table["server"]
    assert "0.35" in table["server"]
    assert table["good"].split()[1:4] == ["Batch", "Succeeded", "True"]
    assert table["bad"].split()[1:4] == ["Batch", "Failed", "False"]

    header, *rows = world.kubectl("get", "djob", "-o", "wide").splitlines()
    assert header.split() == WIDE
    table = {row.split()[0]: row for row in rows}
    assert status["jobUUID"] in table["server"]
    assert "ExitNonZero" in table["bad"]
    assert "docs/reasons/ExitNonZero.md" in table["bad"]
    assert table["server"].rstrip().endswith("default")
    assert "server" in world.kubectl("get", "dispersed")

    told = world.kubectl("describe", "djob", "bad").split("Events:")[1]
    assert "Created" in told
    assert "WaitingForNode" not in told, "a new job always waits, so its creation says it"
    assert "Warning" in told
    assert "ExitNonZero" in told

    world.kubectl("patch", "dispersedjob", "server", "--type=merge", "-p", '{"spec":{"connection":{"secretName":"x"}}}')
    generation = (world.get("server") or {})["metadata"]["generation"]
    wait_for(lambda: world.status("server")["observedGeneration"] == generation, what="the generation is observed")
    world.annotate("server", reconcile_requested_at="now")
    wait_for(lambda: world.status("server").get("lastHandledReconcileAt") == "now", what="the request is answered")
    world.kubectl("delete", "djob", "server", "--timeout=30s")
    assert world.get("server") is None
    world.kubectl("delete", "djob", "good", "bad", "--wait=false")
    world.kubectl("wait", "djob/good", "djob/bad", "--for=delete", "--timeout=30s")
    assert len(world.posts()) == 3
    world.check_truth()
