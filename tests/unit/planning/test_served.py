"""Which definitions are as this release needs them, judged from an OpenAPI document like that of an API server."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dispersed_operator.model.definitions import DEFINITIONS, JOB
from dispersed_operator.planning.served import ServedKind, needed_kinds, served_kinds

Body = dict[str, Any]


def document() -> Body:
    """All kinds as an API server of this release publishes them."""
    schemas: Body = {}
    paths: Body = {}
    for item in DEFINITIONS:
        named = {"group": "dispersed.dev", "version": "v1alpha1", "kind": item.kind}
        schema = copy.deepcopy(item.schema()) | {"x-kubernetes-group-version-kind": [named]}
        schema["properties"]["metadata"] = {"description": "of the server's own", "allOf": [{"$ref": "#/x"}]}
        schemas[f"dev.dispersed.v1alpha1.{item.kind}"] = schema
        paths[f"/apis/dispersed.dev/v1alpha1/{item.plural}/{{name}}/status"] = {}
    return {"components": {"schemas": schemas}, "paths": paths}


def job_after(change: Callable[[Body], object]) -> ServedKind:
    """How DispersedJob is served if its schema is changed so."""
    served = document()
    change(served["components"]["schemas"]["dev.dispersed.v1alpha1.DispersedJob"])
    (kind,) = served_kinds(served, [JOB])
    return kind


def test_the_definitions_of_this_release_lack_nothing_and_differ_in_nothing() -> None:
    kinds = served_kinds(document(), DEFINITIONS)
    assert kinds == tuple(ServedKind(item.kind, served=True, has_status=True) for item in DEFINITIONS)


def test_what_an_api_server_without_our_group_says_is_that_no_kind_is_served() -> None:
    assert not any(kind.served for kind in served_kinds({}, DEFINITIONS))


def test_a_kind_of_another_version_is_not_ours() -> None:
    def rename(schema: Body) -> None:
        schema["x-kubernetes-group-version-kind"][0]["version"] = "v1"

    assert not job_after(rename).served


def test_a_status_that_is_no_subresource_is_noticed() -> None:
    served = document()
    served["paths"].pop("/apis/dispersed.dev/v1alpha1/dispersedaccounts/{name}/status")
    lacking = [kind.kind for kind in served_kinds(served, DEFINITIONS) if not kind.has_status]
    assert lacking == ["DispersedAccount"], "and that of ClusterDispersedAccount is not taken for it"


def status(schema: Body) -> Body:
    return dict(schema["properties"]["status"]["properties"])


def condition(schema: Body) -> Body:
    return dict(status(schema)["conditions"]["items"])


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda schema: schema["properties"].pop("status"), "status"),
        (lambda schema: schema["properties"]["status"].pop("default"), "status"),
        (lambda schema: status(schema)["create"]["properties"].pop("token"), "status.create.token"),
        (lambda schema: condition(schema)["properties"].pop("reason"), "status.conditions[].reason"),
        (lambda schema: schema["properties"]["spec"]["properties"]["task"]["enum"].remove("Batch"), "spec.task"),
        (lambda schema: schema["x-kubernetes-validations"].pop(0), "object (validation)"),
    ],
)
def test_what_is_lacking_is_named(change: Callable[[Body], object], path: str) -> None:
    assert path in job_after(change).missing


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda schema: schema["properties"]["spec"]["properties"].update(more={"type": "string"}), "spec"),
        (lambda schema: schema["properties"]["spec"]["properties"]["task"]["enum"].append("Other"), "spec.task"),
        (lambda schema: schema["x-kubernetes-validations"].append({"rule": "true"}), "object (validation)"),
    ],
)
def test_more_than_this_release_knows_is_a_difference_and_lacks_nothing(
    change: Callable[[Body], object], path: str
) -> None:
    kind = job_after(change)
    assert (kind.missing, kind.different) == ((), (path,))


def test_other_words_are_no_difference() -> None:
    kind = job_after(lambda schema: schema["properties"]["spec"].update(description="other words"))
    assert (kind.missing, kind.different) == ((), ())


def test_an_installation_for_some_namespaces_needs_no_kind_of_the_cluster() -> None:
    assert [item.kind for item in needed_kinds(("team-a",))] == ["DispersedAccount", "DispersedJob"]
    assert needed_kinds(()) == DEFINITIONS
