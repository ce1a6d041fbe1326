"""A copy of the cluster beside the original is told by the authority of its API server."""

from __future__ import annotations

from typing import Any

import pytest

from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.cluster import cluster_problem, confirmation_code

KEY = ResourceKey(Kind.ACCOUNT, "team-a", "default")
NOW_CAS = ("new",)
CONFIRMED = confirmation_code(NOW_CAS)


def account(remembered: list[str] | None, confirmed: str | None = None) -> dict[str, Any]:
    annotations = {"dispersed.dev/confirm-cluster": confirmed} if confirmed else {}
    status = {"apiServerCAs": remembered} if remembered is not None else {}
    return {"metadata": {"annotations": annotations}, "status": status}


@pytest.mark.failure_mode(70)
@pytest.mark.reason("ClusterIdentityChanged")
@pytest.mark.parametrize(
    ("body", "present", "others", "suspicious", "because"),
    [
        (account(["old"]), NOW_CAS, [], True, "no authority is left that the account knows"),
        (account(["old", "older"]), ("new", "newer"), [], True, "none of several"),
        (account(["old"], "something else"), NOW_CAS, [], True, "another authority was confirmed"),
        (account(None), NOW_CAS, [account(["old"])], True, "a new account does not speak for a cluster in question"),
        (account(["old"], CONFIRMED), NOW_CAS, [], False, "a person confirmed exactly this one"),
        (account(["new"]), NOW_CAS, [account(["old"])], False, "this account was confirmed or used here"),
        (account(["old"]), ("new", "old"), [], False, "a rotation with an overlap"),
        (account(["new", "old"]), NOW_CAS, [], False, "the end of a rotation with an overlap"),
        (account(None), NOW_CAS, [account(None), account(["new"])], False, "the first use"),
        (account(None), NOW_CAS, [account(["old"], CONFIRMED)], False, "the other one was confirmed"),
        (account(None, CONFIRMED), NOW_CAS, [account(["old"])], False, "what the message asks for is enough"),
        (account(None, "something else"), NOW_CAS, [account(["old"])], True, "another authority was confirmed"),
        (account(["old"]), (), [], False, "without an authority there is no guard"),
    ],
)
def test_the_cluster_is_in_question(
    body: dict[str, Any], present: tuple[str, ...], others: list[dict[str, Any]], suspicious: bool, because: str
) -> None:
    problem = cluster_problem(KEY, body, present, others)
    assert (problem is not None) is suspicious, because
    if problem is not None:
        assert problem.reason is Reason.CLUSTER_IDENTITY_CHANGED
        command = f"kubectl -n team-a annotate --overwrite dacct default dispersed.dev/confirm-cluster={CONFIRMED}"
        assert present != NOW_CAS or command in problem.message
