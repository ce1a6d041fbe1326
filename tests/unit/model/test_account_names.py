"""Which account a job means: its reference, what was recorded with its create, or a default that is still open."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model.account_names import (
    CLUSTER_DEFAULT,
    accounts_of,
    annotate_command,
    described,
    full_name,
    read_spelling,
    spelled,
)
from dispersed_operator.model.intent import IntentState, Refusal, parse_intent
from dispersed_operator.model.keys import Kind, ResourceKey
from tests.support.builders import a_job, an_intent

OWN_DEFAULT = ResourceKey(Kind.ACCOUNT, "team-a", "default")
SHARED = ResourceKey(Kind.CLUSTER_ACCOUNT, "", "shared")
PAYER = "ClusterDispersedAccount/default"


def referring(**reference: str) -> tuple[ResourceKey, ...]:
    return a_job().spec({**dict(a_job().body["spec"]), "accountRef": reference}).resource.accounts


def test_a_reference_decides_and_its_kind_is_that_of_the_namespace_unless_it_says_otherwise() -> None:
    assert referring(name="gpu") == (ResourceKey(Kind.ACCOUNT, "team-a", "gpu"),)
    assert referring(kind="DispersedAccount", name="gpu") == (ResourceKey(Kind.ACCOUNT, "team-a", "gpu"),)
    assert referring(kind="ClusterDispersedAccount", name="shared") == (SHARED,)


def test_without_a_reference_both_defaults_are_open_and_that_of_the_namespace_comes_first() -> None:
    assert a_job().resource.accounts == (OWN_DEFAULT, CLUSTER_DEFAULT)


@pytest.mark.parametrize(
    ("recorded", "account", "because"),
    [
        ("default", OWN_DEFAULT, "a DispersedAccount has the job"),
        (PAYER, CLUSTER_DEFAULT, "the shared account has the job"),
        ("other", OWN_DEFAULT, "the reference was taken out of the spec: a person must put it back"),
    ],
)
def test_what_the_record_says_closes_the_default(recorded: str, account: ResourceKey, because: str) -> None:
    assert a_job().created().status(account=recorded).resource.accounts == (account,), because


def test_before_there_is_a_record_the_open_intent_closes_the_default() -> None:
    assert a_job().intent(an_intent()).resource.accounts == (OWN_DEFAULT,)
    assert a_job().intent(an_intent(payer=PAYER)).resource.accounts == (CLUSTER_DEFAULT,)


def test_an_intent_that_made_nothing_or_is_of_another_object_leaves_the_default_open() -> None:
    refused = an_intent(payer=PAYER, state=IntentState.REFUSED, refusal=Refusal.ABSENT)
    elsewhere = an_intent(payer=PAYER)
    moved = a_job().intent(elsewhere).body
    copy = {**moved, "metadata": {**moved["metadata"], "name": "copy"}}
    assert a_job().intent(refused).resource.accounts == (OWN_DEFAULT, CLUSTER_DEFAULT)
    assert accounts_of(copy) == (OWN_DEFAULT, CLUSTER_DEFAULT)


@pytest.mark.parametrize("spec", [None, "text", {"accountRef": "text"}, {"accountRef": {"name": 5}}, {}])
def test_the_account_is_known_even_if_the_spec_makes_no_sense(spec: Any) -> None:
    assert accounts_of({**a_job().body, "spec": spec}) == (OWN_DEFAULT, CLUSTER_DEFAULT)


@pytest.mark.parametrize("account", [OWN_DEFAULT, CLUSTER_DEFAULT, SHARED, ResourceKey(Kind.ACCOUNT, "team-a", "a.b")])
def test_a_spelling_is_read_back_and_no_two_accounts_share_one(account: ResourceKey) -> None:
    assert read_spelling(spelled(account), "team-a") == account


@pytest.mark.parametrize("text", ["", "/", "ClusterDispersedAccount/", "Other/name", "team-b/default"])
def test_a_text_that_is_no_spelling_names_no_account(text: str) -> None:
    assert read_spelling(text, "team-a") is None


def test_a_shared_account_is_never_spelled_like_one_of_a_namespace() -> None:
    assert (spelled(SHARED), full_name(SHARED)) == ("ClusterDispersedAccount/shared", "ClusterDispersedAccount/shared")
    assert (spelled(OWN_DEFAULT), full_name(OWN_DEFAULT)) == ("default", "team-a/default")
    assert described(SHARED) == "ClusterDispersedAccount shared"
    assert described(OWN_DEFAULT) == "DispersedAccount team-a/default"
    assert annotate_command(SHARED) == "kubectl annotate --overwrite cdacct shared"
    assert annotate_command(OWN_DEFAULT) == "kubectl -n team-a annotate --overwrite dacct default"


def test_an_intent_keeps_its_payer_and_one_for_a_dispersed_account_is_written_as_before() -> None:
    assert parse_intent(an_intent(payer=PAYER).to_annotation()) == an_intent(payer=PAYER)
    assert "payer" not in an_intent().to_annotation()
