"""The process: control surface, restart, clean end, and settings that make no sense."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from tests.support.simulator import SignedCaller, SimulatorProcess, wait_until


def test_the_console_can_insert_force_and_change_jobs(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    control = simulator.control
    job = control.insert_job(
        "by hand", description="words", task="PERSISTENT", created_at="2024-01-02T03:04:05Z",
        parameters={"image": "a", "ports": [80]}, fields={"min_vram_gb": 8}, fate={"never_assigned": True},
    )  # fmt: skip
    row = caller.job(job["uuid"]).json()
    assert (row["created_at"], row["description"], row["min_vram_gb"]) == ("2024-01-02T03:04:05.000Z", "words", 8)
    assert control.force_status(job["uuid"], "SOMETHING")["status"] == "SOMETHING"
    assert control.set_fate(job["uuid"], token_required=True)["fate"]["never_assigned"] is True
    assert control.force_status(job["uuid"], "RUNNING", hold=False)["runs"][0]["status"] == "RUNNING"
    control.force_status(job["uuid"], "FAILED")
    assert [item["uuid"] for item in control.jobs(live=False, title_contains="hand", status="FAILED")] == [job["uuid"]]
    assert "runs" not in control.jobs(summary=True)[0]


def test_keys_can_be_added_rotated_and_revoked(simulator: SimulatorProcess, caller: SignedCaller) -> None:
    caller.create("mine")
    simulator.control.add_key("pk_other", "sk_1", account_uuid="other")
    other = simulator.caller("pk_other", "sk_1")
    assert other.jobs().json()["total"] == 0
    simulator.control.add_key("pk_other", "sk_2")
    assert other.jobs().status_code == 401
    rotated = simulator.caller("pk_other", "sk_2")
    assert rotated.jobs().json()["total"] == 1
    simulator.control.revoke_key("pk_other")
    assert rotated.jobs().status_code == 401
    simulator.control.set_account("00000000-0000-4000-8000-000000000001", out_of_funds=True)
    assert caller.create("unpaid").status_code == 402


def test_wrong_control_calls_say_what_is_wrong(simulator: SimulatorProcess) -> None:
    control = simulator.control
    with pytest.raises(httpx.HTTPStatusError, match="no fault 'gremlin'"):
        control.add_fault("gremlin")
    with pytest.raises(httpx.HTTPStatusError, match="no switch 'nothing'"):
        control.switch(nothing=1)
    with pytest.raises(httpx.HTTPStatusError, match="no fate field 'luck'"):
        control.add_fate("x", luck=1)
    with pytest.raises(httpx.HTTPStatusError, match="no job none"):
        control.job("none")
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        control.set_clock("teatime")
    with pytest.raises(httpx.HTTPStatusError, match="extra"):
        control.insert_job("x", colour="red")


def test_faults_and_fates_and_requests_can_be_seen_and_cleared(simulator: SimulatorProcess) -> None:
    control = simulator.control
    rule = control.add_fault("stall", times=None)
    control.add_fate("x", exit_code=1)
    assert [item["id"] for item in control.faults()] == [rule]
    assert control.fates()[0]["fate"]["exit_code"] == 1
    control.remove_fault(rule)
    control.add_fault("stall")
    control.clear_faults()
    control.clear_fates()
    control.clear_requests()
    assert (control.faults(), control.fates(), control.requests()) == ([], [], [])
    assert control.switches()["create_status"] == 201


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_state_survives_the_end_of_the_process(tmp_path: Path, how: str) -> None:
    with SimulatorProcess(tmp_path) as simulator:
        caller = simulator.caller()
        job = caller.create("survivor", task="PERSISTENT", container={"ports": [80]}).json()
        simulator.control.advance(3600)
        simulator.control.switch(create_status=200)
        simulator.control.add_fault("delayed_commit", seconds=60)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            caller.call("POST", "/v1/jobs", body={}, time_ms=simulator.control.clock()["now_ms"])
        headers = caller.headers("PUT", "/v1/jobs/none/cancel", "", b"", time_ms=simulator.control.clock()["now_ms"])
        assert caller.call("PUT", "/v1/jobs/none/cancel", headers=headers).status_code == 404
        before = simulator.control.job(job["uuid"])
        address = simulator.base_url
        if how == "stop":
            assert simulator.stop() == 0
        else:
            simulator.kill()
        simulator.start()
        assert simulator.base_url == address
        after = simulator.control.job(job["uuid"])
        assert (after["status"], after["runs"][0]["uuid"]) == ("RUNNING", before["runs"][0]["uuid"])
        assert abs(simulator.control.clock()["offset_ms"] - 3_600_000) < 1000
        assert simulator.control.switches()["create_status"] == 200
        assert caller.call("PUT", "/v1/jobs/none/cancel", headers=headers).json()["error"]["code"] == "NONCE_REUSED"
        with httpx.Client(trust_env=False) as client:
            page = client.get(f"http://127.0.0.1:{after['runs'][0]['node_urls'][0]['port']}/")
        assert "survivor" in page.text
        (replayed,) = [rule for rule in simulator.control.faults() if rule["kind"] == "delayed_commit"]
        assert replayed["hits"] == 1


def test_a_termination_lets_go_of_stalled_answers_and_ends_cleanly(tmp_path: Path) -> None:
    with SimulatorProcess(tmp_path) as simulator:
        caller = simulator.caller()
        simulator.control.add_fault("stall", times=None)
        answers: list[int] = []
        waiting = threading.Thread(target=lambda: answers.append(caller.jobs().status_code))
        waiting.start()
        wait_until(simulator.control.requests)
        assert simulator.stop() == 0
        waiting.join(30)
        assert answers == [200]


def test_thousands_of_jobs_stay_listable(tmp_path: Path) -> None:
    with SimulatorProcess(tmp_path, options=("--no-endpoints",)) as simulator:
        caller = simulator.caller()
        simulator.control.add_fate("", never_assigned=True)
        with httpx.Client(base_url=simulator.base_url, trust_env=False, timeout=60) as client:
            for number in range(2000):
                body = {"title": f"bulk-{number}", "status": "COMPLETED", "created_at": "2024-01-01"}
                assert client.post("/_sim/jobs", json=body).status_code == 201
        caller.create("newest")
        page = caller.jobs(limit="50", sort="-created_at").json()
        assert (page["data"][0]["title"], page["total"], len(page["data"])) == ("newest", 2001, 50)
        live = caller.jobs(**{"filter[status]": "PENDING,RUNNING"}).json()
        assert [row["title"] for row in live["data"]] == ["newest"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--port", "99999"], "--port"), (["--key", "x"], "PUBLIC:SECRET"), (["--switch", "a=b"], "no switch"),
     (["--host", "192.0.2.1"], "cannot listen")],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_ends_with_one_clear_line(arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "dispersed_simulator.cli", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_broken_state_file_ends_with_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a state")
    command = [sys.executable, "-m", "dispersed_simulator.cli", "--state-file", str(tmp_path / "state")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)


def test_a_simulator_that_cannot_write_its_state_ends(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    with SimulatorProcess(tmp_path, options=("--state-file", str(tmp_path / "gone" / "state"))) as simulator:
        shutil.rmtree(tmp_path / "gone")
        assert simulator.caller().create("never on disk").status_code == 500
        wait_until(lambda: simulator.exit_status == 1)
    assert "the simulated world stopped" in simulator.log_file.read_text()


def test_without_the_control_surface_there_is_none(tmp_path: Path) -> None:
    with SimulatorProcess(tmp_path, options=("--no-control",)) as simulator:
        assert simulator.caller().create("plain").status_code == 201
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            simulator.control.jobs()


def test_the_clock_can_run_faster(simulator: SimulatorProcess) -> None:
    before = simulator.control.set_rate(10_000)
    wait_until(lambda: simulator.control.clock()["now_ms"] >= before["now_ms"] + 3_600_000)
    simulator.control.set_rate(1)
