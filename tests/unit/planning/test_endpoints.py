"""From what the service publishes to endpoints and connection data; tokens go into the connection data alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispersed_operator.model.job import DispersedJobSpec
from dispersed_operator.model.remote import NodeURL
from dispersed_operator.planning.endpoints import connection_data, endpoints_of, expected_ports
from tests.support.builders import BATCH, PERSISTENT, RUN, SSH_URL, WEB_URL, a_row, a_run

SPEC = DispersedJobSpec.from_api(PERSISTENT)
UP = a_run(node_urls=(WEB_URL, SSH_URL), access_tokens=("the-token",))


def test_ssh_and_the_declared_ports_are_expected() -> None:
    assert expected_ports(SPEC) == (22, 8080)
    assert expected_ports(DispersedJobSpec.from_api(BATCH)) == ()


def test_endpoints_stand_in_the_order_of_the_spec_with_ssh_first() -> None:
    assert [endpoint.url for endpoint in endpoints_of(SPEC, UP)] == [
        "ssh://duser@node.example.net:31022",
        "https://node.example.net:31080",
    ]


@pytest.mark.parametrize(
    ("url", "because"),
    [
        (replace(WEB_URL, description="31080", port=8080), "the description names the container's port, not the other"),
        (replace(WEB_URL, description="web"), "a name is not understood"),
        (replace(WEB_URL, description="-8080"), "a sign is no port"),
        (replace(WEB_URL, description=""), "nothing is said"),
        (replace(WEB_URL, description="9090"), "nobody declared it"),
    ],
)
def test_a_port_that_the_spec_does_not_name_is_not_shown(url: NodeURL, because: str) -> None:
    assert endpoints_of(SPEC, replace(UP, node_urls=(url,))) == (), because


@pytest.mark.parametrize("description", ["ssh", "SSH", "22"])
def test_ssh_is_recognised_by_its_name_and_by_its_port(description: str) -> None:
    run = replace(UP, node_urls=(replace(SSH_URL, description=description),))
    assert [endpoint.name for endpoint in endpoints_of(SPEC, run)] == ["ssh"]


@pytest.mark.parametrize(
    ("protocol", "tls", "url"),
    [("http", True, "https://"), ("http", False, "http://"), ("tcp", False, "tcp://"), ("tcp", True, "tcp://")],
)
def test_the_scheme_follows_the_declared_protocol_and_the_reported_tls(protocol: str, tls: bool, url: str) -> None:
    template = {**PERSISTENT["template"], "ports": [{"name": "web", "containerPort": 8080, "protocol": protocol}]}
    spec = DispersedJobSpec.from_api({**PERSISTENT, "template": template})
    found = endpoints_of(spec, replace(UP, node_urls=(replace(WEB_URL, tls=tls),)))
    assert found[0].url.startswith(url)
    assert found[0].tls is tls


def test_the_connection_data_are_all_that_a_user_needs() -> None:
    assert connection_data(SPEC, a_row(), UP, endpoints_of(SPEC, UP)) == {
        "run-uuid": RUN,
        "ssh-host": "node.example.net",
        "ssh-port": "31022",
        "ssh-user": "duser",
        "ssh-command": "ssh -p 31022 duser@node.example.net",
        "web-url": "https://node.example.net:31080",
        "access-token": "the-token",
    }


@pytest.mark.parametrize(
    ("of_run", "of_job", "token", "because"),
    [
        (("a",), ("b",), "a", "the run's own token is the newer"),
        ((), ("b",), "b", "the job's token serves where the run has none"),
        ((), (), None, "there may be none"),
    ],
)
def test_the_token_of_the_run_comes_first(
    of_run: tuple[str, ...], of_job: tuple[str, ...], token: str | None, because: str
) -> None:
    data = connection_data(SPEC, a_row(access_tokens=of_job), replace(UP, access_tokens=of_run), ())
    assert data.get("access-token") == token, because


def test_no_endpoint_carries_a_token() -> None:
    for endpoint in endpoints_of(SPEC, UP):
        assert "the-token" not in repr(endpoint.as_status())
