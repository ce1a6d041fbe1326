"""A service behind a proxy, with a certificate of a private authority: two settings lead there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dispersed_devenv.controlplane import ControlPlane
from tests.support.quoting_proxy import QuotingProxy
from tests.support.tls_front import TlsFront
from tests.support.world import World


@pytest.fixture
def private_world(make_world: Callable[..., World], installed_plane: ControlPlane) -> Iterator[World]:
    """A world whose account is at an https address. The certificate is the API server's own, for loopback."""
    world = make_world()
    pair = {"certificate": installed_plane.ca_file, "key": installed_plane.ca_file.with_suffix(".key")}
    with TlsFront(world.simulator.base_url, **pair) as front:
        world.add_account(baseURL=front.base_url)
        yield world
        for operator in world.operators:
            if operator.running:
                operator.stop()  # before its connections to the service break


def test_with_proxy_and_authority_set_a_job_runs_and_the_proxy_reads_nothing_of_it(private_world: World) -> None:
    world = private_world
    with QuotingProxy(lambda _: False, lambda _: False) as proxy:
        flags = (
            f"--remote-proxy=http://127.0.0.1:{proxy.port}",
            f"--remote-ca-file={world.plane.ca_file}",
            f"--namespaces={world.namespace}",  # accounts that other tests left are at http addresses
        )
        world.start_operator(flags=flags)
        world.add_batch()
        world.wait_condition("batch", "Complete")
        assert proxy.tunnels > 0, "the operator went through the proxy"
        assert proxy.signatures == {}, "what went through it was encrypted"
        world.remove_jobs("batch")
        world.operators[0].stop()
    assert len(world.posts()) == 1
    world.check_truth()


@pytest.mark.reason("APIUnavailable")
def test_without_the_authority_nothing_is_sent_to_a_service_that_nobody_vouches_for(private_world: World) -> None:
    world = private_world
    world.start_operator()
    world.add_batch()
    world.wait_blocked("batch", "APIUnavailable")
    assert "certificate verify failed" in world.operators[0].log.read_text().lower()
    assert world.control.requests() == []
    world.operators[0].stop()
    world.start_operator("mended", flags=(f"--remote-ca-file={world.plane.ca_file}",))
    world.wait_condition("batch", "Complete")
    assert len(world.posts()) == 1
    world.check_truth()
