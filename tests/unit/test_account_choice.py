"""The account book chooses: the first account of a job that exists, unless two of them may have its job."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from dispersed_operator.accounts import AccountBook
from dispersed_operator.model.account_names import CLUSTER_DEFAULT
from dispersed_operator.model.intent import IntentState, Refusal
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.windows import ProofWindows
from tests.support.builders import JobBuilder, a_job, an_intent

OWN_DEFAULT = ResourceKey(Kind.ACCOUNT, "team-a", "default")
BOTH = (OWN_DEFAULT, CLUSTER_DEFAULT)
PAYER = "ClusterDispersedAccount/default"


def a_book(*existing: ResourceKey, cluster_wide: bool = True) -> AccountBook:
    there: Collection[ResourceKey] = existing
    return AccountBook(windows_for=lambda _: ProofWindows(), exists=lambda key: key in there, cluster_wide=cluster_wide)


def stripped() -> JobBuilder:
    """A resource of which only our finalizer is left."""
    return a_job().held()


@pytest.mark.parametrize(
    ("existing", "account", "because"),
    [
        (BOTH, OWN_DEFAULT, "that of the namespace comes first"),
        ((CLUSTER_DEFAULT,), CLUSTER_DEFAULT, "else the shared one"),
        ((), OWN_DEFAULT, "with neither, the message names that of the namespace"),
    ],
)
def test_the_default_of_a_new_job_is_the_first_that_exists(
    existing: tuple[ResourceKey, ...], account: ResourceKey, because: str
) -> None:
    assert a_book(*existing).account_of(a_job().resource) == account, because


@pytest.mark.parametrize("existing", [BOTH, (OWN_DEFAULT,), ()])
@pytest.mark.parametrize(
    "job", [a_job().created().status(account=PAYER), a_job().intent(an_intent(payer=PAYER))], ids=["record", "intent"]
)
def test_a_default_that_appears_or_vanishes_later_takes_no_job_away(
    job: JobBuilder, existing: tuple[ResourceKey, ...]
) -> None:
    book = a_book(*existing)
    assert book.account_of(job.resource) == CLUSTER_DEFAULT
    seen = book.facts_for(job.resource)
    assert (seen.name, seen.shared) == (PAYER, True), "a closed account is still known for what it is"


@pytest.mark.failure_mode(55)
@pytest.mark.reason("AccountMismatch")
def test_with_every_record_lost_neither_of_two_defaults_is_asked_for_a_proof_of_absence() -> None:
    seen = a_book(*BOTH).facts_for(stripped().resource)
    assert a_book(*BOTH).session_of(stripped().resource) is None
    assert (seen.reachable, seen.blocker.reason if seen.blocker else None) == (False, Reason.ACCOUNT_MISMATCH)
    assert a_book(CLUSTER_DEFAULT).account_of(stripped().resource) == CLUSTER_DEFAULT


def test_a_refused_intent_is_a_record_that_nothing_was_made_so_the_choice_is_free_again() -> None:
    refused = an_intent(payer=PAYER, state=IntentState.REFUSED, refusal=Refusal.FUNDS)
    assert a_book(*BOTH).account_of(a_job().intent(refused).resource) == OWN_DEFAULT


def test_an_installation_for_some_namespaces_says_that_it_knows_no_shared_accounts() -> None:
    shared = ResourceKey(Kind.CLUSTER_ACCOUNT, "", "shared")
    here = a_book(cluster_wide=False).facts(shared).blocker
    everywhere = a_book().facts(shared).blocker
    assert here is not None
    assert everywhere is not None
    assert (here.reason, everywhere.reason) == (Reason.INVALID_REFERENCE, Reason.INVALID_REFERENCE)
    assert "some namespaces only" in here.message
    assert everywhere.message == "the ClusterDispersedAccount shared does not exist"
