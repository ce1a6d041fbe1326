"""A packed resource: the document comes back, and what stands beside it is what the status says, however garbled."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reading import LAST_APPLIED, UNOUTLINED, Reading, read, state_of
from dispersed_operator.store import key_of
from tests.support.builders import ACCOUNT, IDENTITY, JOB, OTHER_JOB, a_job, an_intent

DEFAULT = ResourceKey(Kind.ACCOUNT, "team-a", "default")


def packed(body: dict[str, Any]) -> Reading:
    return read(key_of(body), body, int(body["metadata"]["resourceVersion"])).pack()


def test_the_document_comes_back_whole_but_for_what_only_other_writers_need() -> None:
    body = a_job().created().status(phase="Running", note="Grüße, \ud800 and \x00").body
    full = {**body, "metadata": {**body["metadata"], "managedFields": [{"manager": "kubectl"}]}}
    full["metadata"]["annotations"] = {**body["metadata"]["annotations"], LAST_APPLIED: "{}"}
    reading = packed(full)
    assert reading.body() == reading.unpack() == reading.pack().body() == body
    assert full["metadata"]["managedFields"], "the body that was given is somebody else's and stays whole"


def test_what_is_asked_of_all_jobs_stands_beside_the_document() -> None:
    reading = (
        a_job()
        .created()
        .status(
            phase="Running",
            active=1,
            hourlyRateUSD="0.42",
            account="default",
            conditions=[{"type": "Ready", "reason": "Running"}, {"type": "Stalled", "reason": "RemoteVanished"}],
        )
        .reading
    )
    job = reading.outline
    assert (reading.uid, reading.version, reading.deleting) == (IDENTITY.uid, 7, False)
    assert (job.phase, job.active, job.hourly_rate, job.stalled) == ("Running", True, "0.42", ("RemoteVanished",))
    assert (job.job_uuid, job.create_uuid) == (JOB, JOB)
    assert job.uuids == {JOB}
    assert (job.token, job.public_key) == (an_intent().token, ACCOUNT.public_key)
    assert (job.unknown, job.ended, job.adopts, job.origin_uid, job.accounts) == (False, False, None, None, (DEFAULT,))


def test_the_end_of_a_suspended_job_and_a_create_in_the_dark_are_told_apart() -> None:
    assert a_job().record(ended=True).reading.outline.ended
    assert a_job().record(uuid=None, state="Unknown").reading.outline.unknown


def test_both_uuids_that_a_status_names_are_known() -> None:
    assert a_job().record(uuid=OTHER_JOB).status(jobUUID=JOB).reading.outline.uuids == {JOB, OTHER_JOB}


@pytest.mark.parametrize(
    ("adopt", "adopts", "because"),
    [
        ({"jobUUID": JOB}, JOB, "it names the job"),
        ({}, "", "it adopts, and names nothing"),
        ({"jobUUID": 7}, "", "it adopts, and names nothing that can be read"),
        (None, None, "it adopts nothing"),
    ],
)
def test_a_resource_that_adopts_is_known_as_one_even_if_it_names_nothing(
    adopt: object, adopts: str | None, because: str
) -> None:
    assert a_job().spec({"task": "Batch", "adopt": adopt}).reading.outline.adopts == adopts, because


def test_the_uid_of_another_object_in_the_intent_is_known() -> None:
    restored = a_job().created().metadata(uid="99999999-1f2e-4c1a-8a55-2d1f4e6a9c03").reading
    assert restored.outline.origin_uid == IDENTITY.uid
    assert a_job().intent("{garbled").reading.outline.origin_uid is None


@pytest.mark.parametrize("status", [None, "text", 7, [], {"create": "text", "conditions": "text"}, {"create": [1]}])
def test_a_status_that_is_none_says_nothing(status: Any) -> None:
    body = {**a_job().body, "status": status}
    job = packed(body).outline
    assert (job.phase, job.active, job.uuids, job.stalled) == ("", False, frozenset(), ())
    assert packed(body).body() == body


def test_an_account_has_no_outline() -> None:
    body = {
        "kind": "DispersedAccount",
        "metadata": {"namespace": "team-a", "name": "default", "resourceVersion": "1", "deletionTimestamp": "x"},
        "status": {"phase": "Running", "jobUUID": JOB},
    }
    assert packed(body).outline is UNOUTLINED
    assert packed(body).deleting


def test_the_state_does_not_depend_on_the_order_in_which_a_server_writes_maps() -> None:
    body = a_job().created().body
    turned = {**body, "metadata": dict(reversed(list(body["metadata"].items())))}
    turned["metadata"]["annotations"] = dict(reversed(list(body["metadata"]["annotations"].items())))
    turned["status"] = {**body["status"], "create": dict(reversed(list(body["status"]["create"].items())))}
    assert state_of(turned) == state_of(body)


@pytest.mark.parametrize(
    "changed",
    [
        a_job().created().metadata(generation=2),
        a_job().created().metadata(finalizers=[]),
        a_job().created().annotated("dispersed.dev/paused", "true"),
        a_job().created().record(uuid=OTHER_JOB),
        a_job().created().deleting(),
    ],
)
def test_the_state_is_another_one_with_whatever_one_version_can_have_only_once(changed: Any) -> None:
    assert state_of(changed.body) != state_of(a_job().created().body)


def test_what_reading_may_change_is_no_part_of_the_state() -> None:
    """Defaults and pruning follow the definition of the kind, and kubectl's annotation is dropped by us."""
    job = a_job().created()
    assert state_of(job.status(phase="Running").body) == state_of(job.body)
    assert state_of(job.annotated(LAST_APPLIED, "{}").body) == state_of(job.body)


def test_a_document_at_hand_is_the_same_object_until_it_is_packed() -> None:
    reading = packed(a_job().body)
    assert reading.body() is not reading.body()
    assert reading.unpack() is reading.body()
    assert reading.pack().body() is not reading.body()
