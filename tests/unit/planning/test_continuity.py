"""What proves that two keys are of one account, and what a tenant writes that proves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.continuity import is_same_account, proven_key
from tests.support.builders import (
    ACCOUNT,
    IDENTITY,
    OTHER_ACCOUNT,
    OTHER_JOB,
    JobBuilder,
    a_job,
    a_row,
    an_account,
    stranger,
)

NEIGHBOURS = a_row(identity=replace(IDENTITY, name="neighbour", uid="99999999-0000-4000-8000-000000000000"))


@pytest.mark.failure_mode(28)
@pytest.mark.failure_mode(52)
@pytest.mark.parametrize(
    ("builder", "row", "proves", "because"),
    [
        (a_job().created(), a_row(), True, "a job recorded under the old key is listed with the new one"),
        (a_job().created(), NEIGHBOURS, False, "the record names a job that is somebody else's"),
        (a_job().created(), stranger(), False, "a job without our title"),
        (a_job().created(), a_row(uuid=OTHER_JOB), False, "another job than the recorded one"),
        (a_job().held().record(account=None), a_row(), False, "no key was recorded"),
        (a_job().held().record(token="aaaaaaaaaaaa"), a_row(), False, "the record is of another create"),
        (a_job(), a_row(), False, "nothing is recorded"),
    ],
)
def test_what_a_row_proves_of_the_key_that_recorded_it(
    builder: JobBuilder, row: RemoteJob, proves: bool, because: str
) -> None:
    assert (proven_key(builder.resource, row) == ACCOUNT.public_key) is proves, because


@pytest.mark.failure_mode(28)
def test_another_key_is_of_the_same_account_only_once_that_is_proven() -> None:
    rotated = an_account(mark=OTHER_ACCOUNT)
    assert is_same_account(ACCOUNT, an_account())
    assert not is_same_account(ACCOUNT, rotated)
    assert not is_same_account(None, rotated)
    assert is_same_account(ACCOUNT, replace(rotated, continuous_keys=frozenset({ACCOUNT.public_key})))
