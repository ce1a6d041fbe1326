"""The simulator as a client meets it: real process, real sockets, real signatures."""

from __future__ import annotations

import base64
import socket
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from tests.support.simulator import PUBLIC_KEY, SECRET_KEY, SignedCaller, SimulatorProcess, wait_until


def _get(url: str, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        return client.get(url, headers=headers)


def test_a_job_lives_from_create_to_completed_with_logs(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    created = caller.create("life of a job")
    assert created.status_code == 201
    uuid = created.json()["uuid"]
    assert [row["uuid"] for row in caller.jobs(limit="50", sort="-created_at").json()["data"]] == [uuid]
    wait_until(lambda: caller.job(uuid).json()["status"] == "COMPLETED")
    (run,) = caller.call("GET", "/v1/job-runs", query={"filter[job_uuid]": uuid}).json()["data"]
    single = caller.call("GET", f"/v1/job-runs/{run['uuid']}").json()
    assert single["logs"].rstrip().endswith("exit code 0")
    truth = simulator.control.job(uuid)
    assert (truth["status"], truth["live"], truth["runs"][0]["exit_code"]) == ("COMPLETED", False, 0)
    assert truth["cost_usd"] == pytest.approx(0.35 * single["duration_ms"] / 3_600_000, abs=1e-6)


def test_a_cancelled_job_ends(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    uuid = caller.create("to be cancelled", task="PERSISTENT").json()["uuid"]
    assert caller.cancel(uuid).json()["status"] == "CANCELLING"
    wait_until(lambda: caller.job(uuid).json()["status"] == "CANCELLED")
    assert simulator.control.job(uuid)["cancel_requests"] == 1


def test_a_cancel_may_be_answered_without_a_body(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    simulator.control.switch(cancel_status=204)
    answer = caller.cancel(caller.create("quiet").json()["uuid"])
    assert (answer.status_code, answer.content) == (204, b"")


def _published(simulator: SimulatorProcess, uuid: str) -> dict[str, Any]:
    wait_until(lambda: [run for run in simulator.control.job(uuid)["runs"] if run["published"]])
    return dict(simulator.control.job(uuid)["runs"][0])


def test_endpoints_really_answer_with_the_jobs_name_and_end_with_the_run(
    simulator: SimulatorProcess, caller: SignedCaller
) -> None:
    job = caller.create("kd1-x Our web server", task="PERSISTENT", container={"ports": [22, 8080]}).json()
    run = _published(simulator, job["uuid"])
    shown = caller.call("GET", f"/v1/job-runs/{run['uuid']}").json()["node_urls"]
    ports = {entry["description"]: entry["port"] for entry in shown}
    assert {(entry["hostname"], entry["protocol"], entry["tls"]) for entry in shown} == {("127.0.0.1", "tcp", False)}
    page = _get(f"http://127.0.0.1:{ports['8080']}/any/path")
    assert page.status_code == 200
    assert "kd1-x Our web server" in page.text
    assert job["uuid"] in page.text
    with socket.create_connection(("127.0.0.1", ports["ssh"]), timeout=10) as connection:
        assert connection.recv(100).startswith(b"SSH-2.0-")
        caller.cancel(job["uuid"])
        assert connection.recv(100) == b""
    with pytest.raises(httpx.ConnectError):
        _get(f"http://127.0.0.1:{ports['8080']}/")


def test_an_endpoint_asks_for_the_container_access_token(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    simulator.control.add_fate("guarded", token_required=True)
    job = caller.create("guarded", task="PERSISTENT", container={"ports": [5000]}).json()
    run = _published(simulator, job["uuid"])
    url = f"http://127.0.0.1:{run['node_urls'][0]['port']}/"
    (shown,) = caller.call("GET", f"/v1/job-runs/{run['uuid']}").json()["container_access_tokens"]
    basic = base64.b64encode(f"duser:{shown['token']}".encode()).decode()
    wrong = base64.b64encode(f"root:{shown['token']}".encode()).decode()
    attempts = [{}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {wrong}"}, {"Authorization": "Basic ?"},
                {"Authorization": f"Bearer {shown['token']}"}, {"Authorization": f"Basic {basic}"}]  # fmt: skip
    assert [_get(url, **headers).status_code for headers in attempts] == [401, 401, 401, 401, 200, 200]


def test_the_date_header_follows_the_clock(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    simulator.control.set_clock("2031-05-06T07:08:09Z")
    simulator.control.set_rate(0)
    now_ms = simulator.control.clock()["now_ms"]
    answer = caller.call("GET", "/v1/jobs", time_ms=now_ms)
    simulator.control.set_rate(1)
    assert answer.status_code == 200
    assert answer.headers.get_list("date") == ["Tue, 06 May 2031 07:08:09 GMT"]
    assert parsedate_to_datetime(answer.headers["date"]).timestamp() * 1000 == pytest.approx(now_ms, abs=1000)


def test_a_replay_and_a_stale_request_are_refused(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    headers = caller.headers("GET", "/v1/jobs", "", b"")
    answers = [caller.call("GET", "/v1/jobs", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert answers[1].json()["error"]["code"] == "NONCE_REUSED"
    fresh = caller.headers("GET", "/v1/jobs", "", b"")
    simulator.control.advance(330)
    stale = caller.call("GET", "/v1/jobs", headers=fresh)
    assert (stale.status_code, stale.json()["error"]["code"]) == (401, "TIMESTAMP_OUT_OF_RANGE")


def test_paths_that_do_not_exist_are_refused_in_the_api_s_own_words(caller: SignedCaller) -> None:
    assert caller.call("GET", "/v1/nothing").json()["error"]["code"] == "NOT_FOUND"
    assert caller.call("PATCH", "/v1/jobs/x", body={}).status_code == 405
    assert caller.call("GET", "/v1/nothing", headers={"X-Nonce": "1"}).status_code == 401


def test_the_request_log_knows_everything_but_secrets(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    caller.create("logged")
    headers = caller.headers("GET", "/v1/jobs", "limit=5", b"")
    caller.call("GET", "/v1/jobs", query={"limit": "5"}, headers=headers)
    (row,) = simulator.control.requests(method="GET", path="/v1/jobs")
    expected = {"method": "GET", "path": "/v1/jobs", "query": "limit=5", "status": 200, "api_key": PUBLIC_KEY,
                "nonce": headers["X-Nonce"], "x_time": headers["X-Time"], "fault": None,
                "canonical": "percent+plus/escaped+raw+bytes", "error_code": None}  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    everything = str(simulator.control.requests()) + str(simulator.control.keys())
    assert SECRET_KEY not in everything
    assert headers["X-Signature"] not in everything
    assert simulator.control.requests(method="POST")[0]["id"] == simulator.control.jobs()[0]["created_by"]


def test_the_openapi_document_lists_the_api(simulator: SimulatorProcess) -> None:
    document = _get(f"{simulator.base_url}/openapi.json").json()
    operations = {(method, path) for path, item in document["paths"].items() for method in item if "/_sim" not in path}
    assert operations == {
        ("post", "/v1/jobs"), ("get", "/v1/jobs"), ("get", "/v1/jobs/{uuid}"), ("put", "/v1/jobs/{uuid}/cancel"),
        ("get", "/v1/job-runs"), ("get", "/v1/job-runs/{uuid}"),
    }  # fmt: skip
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"] == "#/components/schemas/JobCreate"
    text = str(document)
    for name in ("JobCreate", "Job", "JobRun", "JobList", "Error"):
        assert name in document["components"]["schemas"]
        assert f"#/components/schemas/{name}'" in text
