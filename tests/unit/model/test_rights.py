"""The table of rights is what the manifests grant, in both scopes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dispersed_operator.model.rights import (
    IN_NAMESPACES,
    OF_THE_ELECTION,
    OVER_THE_CLUSTER,
    Right,
    ScopedRight,
    needed_rights,
)

MANIFESTS = Path(__file__).resolve().parents[3] / "manifests"


def granted(file: Path, kind: str) -> list[Right]:
    (role,) = (item for item in yaml.safe_load_all(file.read_text()) if item["kind"] == kind)
    return sorted(
        Right(group, resource.partition("/")[0], verb, resource.partition("/")[2])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def test_an_installation_for_the_cluster_grants_the_whole_table() -> None:
    needed = needed_rights(())
    assert granted(MANIFESTS / "base" / "rbac.yaml", "ClusterRole") == sorted(item.right for item in needed)
    assert {item.namespace for item in needed} == {None}


def test_a_served_namespace_grants_what_is_needed_in_namespaces() -> None:
    assert granted(MANIFESTS / "served-namespace" / "role.yaml", "Role") == sorted(IN_NAMESPACES)


def test_for_some_namespaces_nothing_over_the_cluster_is_needed() -> None:
    needed = needed_rights(("team-a", "team-b"))
    assert len(needed) == 2 * len(IN_NAMESPACES)
    assert {item.namespace for item in needed} == {"team-a", "team-b"}
    assert not {item.right for item in needed} & set(OVER_THE_CLUSTER)


def test_the_component_for_two_replicas_grants_what_an_election_needs_in_the_operators_namespace() -> None:
    role = MANIFESTS / "components" / "high-availability" / "role.yaml"
    assert granted(role, "Role") == sorted(OF_THE_ELECTION)
    for namespaces in ((), ("team-a",)):
        more = set(needed_rights(namespaces, election_in="operators")) - set(needed_rights(namespaces))
        assert more == {ScopedRight(right, "operators") for right in OF_THE_ELECTION}


@pytest.mark.parametrize(
    ("right", "namespace", "words"),
    [
        (IN_NAMESPACES[0], None, "get dispersedjobs.dispersed.dev --all-namespaces"),
        (Right("", "secrets", "get"), "team-a", "get secrets --namespace=team-a"),
        (Right("", "namespaces", "get"), None, "get namespaces"),
        (OF_THE_ELECTION[0], "operators", "get leases.coordination.k8s.io --namespace=operators"),
        (
            Right("dispersed.dev", "dispersedorphans", "patch", "status"),
            None,
            "patch dispersedorphans.dispersed.dev --subresource=status",
        ),
    ],
)
def test_a_right_is_spelled_as_kubectl_asks_for_it(right: Right, namespace: str | None, words: str) -> None:
    assert str(ScopedRight(right, namespace)) == words
