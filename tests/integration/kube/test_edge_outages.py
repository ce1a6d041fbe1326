"""The edge and the election through outages: the API server goes away and comes back, the CRDs come late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.kube.client import DISPERSED_JOBS
from dispersed_operator.leadership import LeadershipLost
from dispersed_operator.model.keys import NAMESPACED_KINDS
from tests.integration.kube.harness import candidate, client_for, create_job, new_namespace, until, watching
from tests.integration.kube.lagging import lagging_server
from tests.support.controlplane import CRDS, temporary_control_plane

CRD_NAMES = ("dispersedjobs.dispersed.dev", "dispersedaccounts.dispersed.dev")


@pytest.fixture(scope="module")
def own_plane() -> Iterator[ControlPlane]:
    """A control plane of this module's own, without our CRDs."""
    with temporary_control_plane() as plane:
        yield plane


@pytest.fixture
def plane(own_plane: ControlPlane) -> ControlPlane:
    """The control plane with our CRDs."""
    own_plane.apply(*sorted(CRDS.glob("*.yaml")))
    return own_plane


async def test_kinds_that_are_installed_after_the_start_are_watched(own_plane: ControlPlane) -> None:
    own_plane.kubectl("delete", "crd", "--ignore-not-found", *CRD_NAMES)
    namespace = new_namespace(own_plane)
    async with watching(own_plane.kubeconfig, namespace) as watcher:
        await until(lambda: watcher.edge.unwatched == frozenset(NAMESPACED_KINDS))
        assert not watcher.edge.ready
        await asyncio.to_thread(own_plane.apply, *sorted(CRDS.glob("*.yaml")))
        async with client_for(own_plane.kubeconfig) as client:
            await create_job(client, namespace)
        await until(lambda: watcher.saw("train"))
        await until(lambda: watcher.edge.ready)


@pytest.mark.parametrize("namespaced", [False, True], ids=["all-namespaces", "one-namespace"])
async def test_kinds_that_a_lagging_server_did_not_list_are_watched_once_it_does(
    plane: ControlPlane, tmp_path: Path, namespaced: bool
) -> None:
    namespace = new_namespace(plane)
    async with (
        lagging_server(plane, tmp_path) as server,
        watching(server.kubeconfig, namespace, namespaces=[namespace] if namespaced else None) as watcher,
        client_for(plane.kubeconfig) as client,
    ):
        await until(lambda: watcher.edge.unwatched == frozenset(NAMESPACED_KINDS))
        server.lagging = False  # no CRD changes after this: nothing tells kopf to look again
        await create_job(client, namespace)
        await until(lambda: watcher.saw("train"))
        assert server.missed == 1
        await until(lambda: watcher.edge.ready)


@pytest.mark.parametrize("kill", [False, True], ids=["restart", "kill"])
async def test_watching_goes_on_after_the_api_server_was_away(plane: ControlPlane, kill: bool) -> None:
    namespace = new_namespace(plane)
    async with watching(plane.kubeconfig, namespace) as watcher, client_for(plane.kubeconfig) as client:
        await create_job(client, namespace, "before")
        await until(lambda: watcher.saw("before"))
        if kill:
            await asyncio.to_thread(plane.kill_apiserver)
            await asyncio.to_thread(plane.start_apiserver)
        else:
            await asyncio.to_thread(plane.restart_apiserver)
        await client.get(DISPERSED_JOBS, namespace=namespace, name="before", deadline=60.0)
        await create_job(client, namespace, "after")
        await until(lambda: watcher.saw("after"))


async def test_a_leader_without_an_api_server_gives_up_before_anybody_may_follow(plane: ControlPlane) -> None:
    namespace = new_namespace(plane)
    async with client_for(plane.kubeconfig) as client:
        leader = candidate(client, namespace, "first")
        await leader.acquire()
        await asyncio.to_thread(plane.kill_apiserver)
        try:
            with pytest.raises(LeadershipLost, match="was not renewed"):
                await asyncio.wait_for(leader.keep(), 60)
            assert not leader.leading
        finally:
            await asyncio.to_thread(plane.start_apiserver)
        follower = candidate(client, namespace, "second")
        await follower.acquire()
        assert follower.leading
