"""Ports, kept identity, kubeconfig and command lines of the development control plane."""

import json
import random
import re
import socket
import stat
from pathlib import Path

import pytest
import yaml

from dispersed_devenv import ports
from dispersed_devenv.arguments import (
    CONTROLLERS,
    Layout,
    apiserver_arguments,
    controller_manager_arguments,
    etcd_arguments,
)
from dispersed_devenv.cli import main
from dispersed_devenv.controlplane import ControlPlane, NotStartedError
from dispersed_devenv.identity import Identity, new_service_account_key, obtain_identity, ports_of
from dispersed_devenv.kubeconfig import write_kubeconfig

SOMEBODY = Identity(20001, 20002, 20003, 20004, "the-token")


def test_a_free_port_lies_below_the_source_ports_of_outgoing_connections() -> None:
    assert all(20_000 <= ports.free_port(random.Random(seed)) < 32_768 for seed in range(20))


def test_a_port_on_which_somebody_listens_is_not_free() -> None:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_the_identity_of_the_last_run_is_used_again(tmp_path: Path) -> None:
    first = obtain_identity(tmp_path / "identity.json")
    assert obtain_identity(tmp_path / "identity.json") == first
    assert len(set(ports_of(first))) == 4


def test_a_port_taken_meanwhile_gives_a_new_identity(tmp_path: Path) -> None:
    first = obtain_identity(tmp_path / "identity.json")
    with socket.create_server((ports.LOOPBACK, first.apiserver_port)):
        second = obtain_identity(tmp_path / "identity.json")
    assert second.apiserver_port != first.apiserver_port
    assert json.loads((tmp_path / "identity.json").read_text())["apiserver_port"] == second.apiserver_port


def test_files_with_tokens_are_for_their_owner_alone(tmp_path: Path) -> None:
    obtain_identity(tmp_path / "identity.json")
    ca = tmp_path / "ca.crt"
    config = write_kubeconfig(tmp_path / "config", server="https://127.0.0.1:1", ca_file=ca, token="the-token")
    for path in (tmp_path / "identity.json", config):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_kubeconfig_names_server_certificate_token_and_namespace(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    path = write_kubeconfig(tmp_path / "a" / "b", server="https://127.0.0.1:1", ca_file=ca, token="t", namespace="n")
    document = yaml.safe_load(path.read_text())
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority": str(ca)}
    assert [entry["cluster"] for entry in document["clusters"]] == [cluster]
    assert [entry["user"] for entry in document["users"]] == [{"token": "t"}]
    assert [entry["context"]["namespace"] for entry in document["contexts"]] == ["n"]
    assert document["current-context"] == document["contexts"][0]["name"]


def test_every_service_account_key_is_another_one() -> None:
    first, second = new_service_account_key(), new_service_account_key()
    assert first != second
    assert first.startswith("-----BEGIN EC PRIVATE KEY-----\n")


def test_everything_listens_on_loopback_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    everything = [
        *etcd_arguments(layout, SOMEBODY),
        *apiserver_arguments(layout, SOMEBODY, audit_log=True),
        *controller_manager_arguments(layout, SOMEBODY),
    ]
    listening = [option for option in everything if re.match(r"--(bind-address|listen-.*|.*-urls)=", option)]
    assert len(listening) == 6
    assert all(re.search(r"=(http://)?127\.0\.0\.1(:\d+)?$", option) for option in listening)


def test_no_token_stands_on_a_command_line(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    everything = etcd_arguments(layout, SOMEBODY) + apiserver_arguments(layout, SOMEBODY, audit_log=True)
    everything += controller_manager_arguments(layout, SOMEBODY)
    assert not any(SOMEBODY.admin_token in option for option in everything)


def test_only_the_controllers_run_that_need_no_node(tmp_path: Path) -> None:
    options = controller_manager_arguments(Layout(tmp_path), SOMEBODY)
    assert f"--controllers={','.join(CONTROLLERS)}" in options
    assert len(CONTROLLERS) == 5


def test_the_audit_log_is_off_unless_asked_for(tmp_path: Path) -> None:
    without = apiserver_arguments(Layout(tmp_path), SOMEBODY, audit_log=False)
    assert not any(option.startswith("--audit") for option in without)


def test_a_folder_without_a_control_plane_has_no_address_and_stops_without_harm(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path)
    with pytest.raises(NotStartedError, match="no control plane has been started"):
        _ = plane.base_url
    plane.stop()
    assert plane.pids() == {}


def test_status_of_an_empty_folder_says_so_and_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--dir", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("not running") == 5
    assert main(["down", "--dir", str(tmp_path)]) == 0
    assert "nothing was running" in capsys.readouterr().err
