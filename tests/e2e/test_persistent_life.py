"""The life of a PERSISTENT job: an endpoint that answers, a connection Secret, and no token anywhere else."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from dispersed_devenv.services import SECRET_KEY
from tests.support.world import World, wait_for

SSH = {
    "publicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Yj1yXW2mCq0bQ9b8n0l1q2r3s4t5u6v7w8x9y0z1A me@example",
    "user": "root",
}
ENV_VALUE = "value-of-an-environment-variable"


@pytest.mark.reason("WaitingForEndpoints")
def test_a_persistent_job_is_ready_with_an_endpoint_that_answers_and_its_token_stands_in_the_secret_only(
    world: World,
) -> None:
    world.control.add_fate("server", token_required=True, endpoints_late_seconds=3)
    world.add_persistent(template={"ssh": SSH, "env": [{"name": "MODE", "value": ENV_VALUE}]})
    world.wait_condition("server", "Ready", "False", reason="WaitingForEndpoints")
    assert world.get("server-connection", "secret") is None
    world.wait_condition("server", "Ready")
    secret, data = world.get("server-connection", "secret"), world.secret_data("server-connection")
    assert secret is not None
    assert data is not None, "Ready waits for the connection Secret"
    status, truth = world.status("server"), world.remote("server")
    run = truth["runs"][0]
    ssh, web = status["endpoints"]
    addresses = {url["container_port"]: url for url in run["node_urls"]}

    assert status["phase"] == "Running"
    assert status["connectionSecretRef"] == {"name": "server-connection"}
    assert (ssh["name"], ssh["host"], ssh["port"]) == ("ssh", addresses[22]["hostname"], addresses[22]["port"])
    assert (web["name"], web["host"], web["port"]) == ("web", addresses[8080]["hostname"], addresses[8080]["port"])
    assert secret["type"] == "dispersed.dev/connection"
    owner = secret["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("DispersedJob", (world.get("server") or {})["metadata"]["uid"])
    assert data == {
        "run-uuid": run["uuid"],
        "access-token": run["access_token"],
        "web-url": web["url"],
        "ssh-host": ssh["host"],
        "ssh-port": str(ssh["port"]),
        "ssh-user": "root",
        "ssh-command": f"ssh -p {ssh['port']} root@{ssh['host']}",
    }
    assert fetch(data["web-url"]) == (401, None)
    code, page = fetch(data["web-url"], data["access-token"])
    assert code == 200
    assert page is not None
    assert truth["title"] in page

    world.control.advance(3600)
    world.nudge("server")
    wait_for(lambda: float(world.status("server").get("costUSD", 0)) >= 0.35, what="an hour's cost is in the status")
    assert float(world.status("server")["hourlyRateUSD"]) == 0.35

    world.control.set_fate(truth["uuid"], run_seconds=1)
    world.wait_phase("server", "Succeeded")
    status = world.status("server")
    assert world.get("server-connection", "secret") is None
    assert "connectionSecretRef" not in status
    assert "endpoints" not in status
    assert world.condition("server", "Ready")["status"] == "False"
    everything = everything_said(world)
    for hidden in (data["access-token"], SECRET_KEY, ENV_VALUE):
        assert hidden not in everything

    world.delete("server")
    world.wait_gone("server")
    assert len(world.posts()) == 1
    assert world.cancels() == []
    world.check_truth()


def fetch(url: str, token: str | None = None) -> tuple[int, str | None]:
    """GET with or without the container's access token: the status code, and the page if there is one."""
    request = urllib.request.Request(url, headers={} if token is None else {"Authorization": f"Bearer {token}"})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, None


def everything_said(world: World) -> str:
    """Statuses, Events, logs and metrics: everywhere that a secret must never reach."""
    statuses = world.kubectl("get", "dispersedjobs,dispersedaccounts", "-o", "jsonpath={.items[*].status}")
    events = world.kubectl("get", "events", "-o", "json")
    spoken = [text for operator in world.operators for text in (operator.log.read_text(), operator.metrics())]
    return "\n".join([statuses, events, *spoken])
