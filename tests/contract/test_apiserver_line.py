"""What a driver of the simulation can do to the in-process server: faults on the line, watches, backups.

The operator's own client runs above the line, so what it makes of each fault is its decision, not this test's.
"""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from dispersed_operator import errors
from dispersed_operator.kube.client import DISPERSED_JOBS, KubeClient, NotConnected
from dispersed_operator.model.status import UNSEEN
from tests.contract.clusters import Json
from tests.integration.crds.objects import job
from tests.simulation.apiserver import (
    ApiServer,
    Gate,
    Reply,
    Sent,
    client_over,
    cut,
    failure,
    no_connection,
    without_server_fields,
)

TEAM = "team"


class Faulty(Gate):
    """Plays one fault per request, in order; then lets everything pass."""

    def __init__(self, *, before: tuple[Reply | Exception | None, ...] = (), after: tuple[Exception, ...] = ()) -> None:
        self.sent: list[str] = []
        self._before = list(before)
        self._after = list(after)

    async def before(self, sent: Sent) -> Reply | None:
        self.sent.append(f"{sent.method} {sent.path}")
        fault = self._before.pop(0) if self._before else None
        if isinstance(fault, Exception):
            raise fault
        return fault

    async def after(self, sent: Sent, reply: Reply) -> Reply:
        del sent
        if self._after:
            raise self._after.pop(0)
        return reply


@pytest.fixture
def server() -> ApiServer:
    made = ApiServer(now=time.time, rng=random.Random(1))
    made.add_namespace(TEAM)
    return made


def client(server: ApiServer, gate: Gate | None = None) -> KubeClient:
    return client_over(server, random=lambda: 0.0, gate=gate)


async def create(kube: KubeClient) -> Json:
    return await kube.create(DISPERSED_JOBS, namespace=TEAM, body=job("train"))


# The line.


async def test_a_write_that_found_no_connection_is_sent_again(server: ApiServer) -> None:
    gate = Faulty(before=(no_connection(), no_connection()))
    await create(client(server, gate))
    assert len(gate.sent) == 3
    with pytest.raises(NotConnected):
        await client(server, Faulty(before=(no_connection(),) * 99)).delete(
            DISPERSED_JOBS, namespace=TEAM, name="train", deadline=0.2
        )
    assert server.find(DISPERSED_JOBS, TEAM, "train")


async def test_a_write_whose_answer_was_lost_is_done_and_not_sent_again(server: ApiServer) -> None:
    gate = Faulty(after=(cut(),))
    with pytest.raises(errors.KubernetesUnreachable):
        await create(client(server, gate))
    assert len(gate.sent) == 1
    assert server.find(DISPERSED_JOBS, TEAM, "train")


async def test_a_write_that_was_cut_on_its_way_is_not_done_and_not_sent_again(server: ApiServer) -> None:
    gate = Faulty(before=(cut(),))
    with pytest.raises(errors.KubernetesUnreachable):
        await create(client(server, gate))
    assert (len(gate.sent), server.find(DISPERSED_JOBS, TEAM, "train")) == (1, None)


@pytest.mark.parametrize("status", [500, 503])
async def test_a_forged_failure_reaches_the_client_and_not_the_server(server: ApiServer, status: int) -> None:
    with pytest.raises(errors.KubernetesServerError) as caught:
        await create(client(server, Faulty(before=(failure(status),))))
    assert caught.value.status == status
    assert server.find(DISPERSED_JOBS, TEAM, "train") is None


async def test_a_throttled_write_is_sent_again(server: ApiServer) -> None:
    gate = Faulty(before=(failure(429, retry_after=0.01),))
    await create(client(server, gate))
    assert len(gate.sent) == 2


async def test_a_request_that_is_never_answered_ends_by_the_clients_deadline(server: ApiServer) -> None:
    class Silent(Gate):
        async def before(self, sent: Sent) -> Reply | None:
            await asyncio.get_running_loop().create_future()
            raise AssertionError(sent)

    with pytest.raises(errors.KubernetesUnreachable):
        await client(server, Silent()).get(DISPERSED_JOBS, namespace=TEAM, name="train", deadline=0.05)


async def test_a_listing_that_expires_under_way_is_begun_anew(server: ApiServer) -> None:
    class Compacting(Faulty):
        async def before(self, sent: Sent) -> Reply | None:
            if len(self.sent) == 1:
                server.expire_listings()
                server.delete(DISPERSED_JOBS, TEAM, "a")
            return await super().before(sent)

    for name in ("a", "b", "c"):
        server.create(DISPERSED_JOBS, TEAM, job(name))
    gate = Compacting()
    items, version = await client(server, gate).list_all(DISPERSED_JOBS, chunk=1)
    assert [item["metadata"]["name"] for item in items] == ["b", "c"]
    assert (len(gate.sent), version) == (4, str(server.version))


async def test_no_two_parties_share_a_body(server: ApiServer) -> None:
    given = job("train")
    made = await create(client(server))
    server.create(DISPERSED_JOBS, TEAM, given | {"metadata": {"name": "other", "annotations": (notes := {"a": "1"})}})
    watch = server.subscribe(DISPERSED_JOBS)
    told = watch.relist()
    before = server.bodies(DISPERSED_JOBS)
    for body in (made, given, told[0].body, server.get(DISPERSED_JOBS, TEAM, "train")):
        body["spec"]["template"]["title"] = "changed"
        body["metadata"]["name"] = "changed"
    notes["a"] = "changed"
    assert server.bodies(DISPERSED_JOBS) == before == [event.body for event in told]


# Watches.


def test_a_watch_is_read_at_its_own_pace_in_the_order_of_each_object(server: ApiServer) -> None:
    watch = server.subscribe(DISPERSED_JOBS)
    assert watch.needs_relist
    assert watch.relist() == watch.pending() == []
    for name in ("a", "b"):
        server.create(DISPERSED_JOBS, TEAM, job(name))
        server.patch(DISPERSED_JOBS, TEAM, name, {"metadata": {"labels": {"x": "y"}}})
    assert [(e.type, e.name) for e in watch.heads()] == [("ADDED", "a"), ("ADDED", "b")]
    second = watch.pending()[1]
    with pytest.raises(ValueError, match="earlier"):
        watch.take(second)
    order = [watch.take(watch.heads()[-1]).name, watch.take().name, watch.take().type, watch.take().version]
    assert order == ["b", "a", "MODIFIED", server.version]
    assert watch.pending() == []


def test_a_watch_that_relists_misses_what_went_meanwhile_and_one_that_resumes_does_not(server: ApiServer) -> None:
    deaf, patient = server.subscribe(DISPERSED_JOBS, TEAM), server.subscribe(DISPERSED_JOBS, TEAM)
    server.create(DISPERSED_JOBS, TEAM, job("a"))
    for watch in (deaf, patient):
        assert [(event.type, event.name) for event in watch.relist()] == [(None, "a")]
        watch.disconnect()
    server.delete(DISPERSED_JOBS, TEAM, "a")
    assert deaf.pending() == patient.pending() == []
    assert deaf.relist() == deaf.pending() == []
    patient.resume()
    assert [(event.type, event.version) for event in patient.pending()] == [("DELETED", server.version)]


# Backups.


def test_a_restored_etcd_counts_again_from_where_it_was(server: ApiServer) -> None:
    server.create(DISPERSED_JOBS, TEAM, job("old"))
    watch = server.subscribe(DISPERSED_JOBS)
    watch.relist()
    snapshot, version = server.snapshot(), server.version
    server.create(DISPERSED_JOBS, TEAM, job("new"))
    server.delete(DISPERSED_JOBS, TEAM, "old")
    server.restore(snapshot)
    assert (server.version, [body["metadata"]["name"] for body in server.bodies(DISPERSED_JOBS)]) == (version, ["old"])
    assert watch.needs_relist
    assert watch.pending() == []
    assert [event.name for event in watch.relist()] == ["old"]
    server.create(DISPERSED_JOBS, TEAM, job("third"))
    assert [event.version for event in watch.pending()] == [version + 1]
    server.restore(snapshot)
    assert server.version == version


def test_a_backup_comes_back_with_everything_but_its_identity_and_status(server: ApiServer) -> None:
    body = job("train")
    body["metadata"] |= {"annotations": {"a": "b"}, "finalizers": ["example.com/a"]}
    server.create(DISPERSED_JOBS, TEAM, body)
    server.patch(DISPERSED_JOBS, TEAM, "train", {"status": {"phase": "Running"}}, subresource="status")
    backup = without_server_fields(server.get(DISPERSED_JOBS, TEAM, "train"), status=True)
    server.add_namespace("clone")
    backup["metadata"]["namespace"] = "clone"
    restored = server.create(DISPERSED_JOBS, "clone", backup)
    original = server.get(DISPERSED_JOBS, TEAM, "train")
    assert restored["status"] == UNSEEN
    assert restored["spec"] == original["spec"]
    assert restored["metadata"]["annotations"] == {"a": "b"}
    assert restored["metadata"]["uid"] != original["metadata"]["uid"]
    status = server.patch(DISPERSED_JOBS, "clone", "train", {"status": backup["status"]}, subresource="status")[
        "status"
    ]
    assert status == original["status"]


def test_two_servers_of_one_seed_give_the_same_uids_and_names() -> None:
    bodies = []
    for _ in range(2):
        server = ApiServer(now=lambda: 1_700_000_000.0, rng=random.Random(5))
        body = job("x")
        body["metadata"] = {"generateName": "x-"}
        bodies.append(server.create(DISPERSED_JOBS, "default", body))
    assert bodies[0] == bodies[1]
    assert bodies[0]["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"
