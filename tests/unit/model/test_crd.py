"""The generated CustomResourceDefinitions: up to date, structural, bounded, and ruled without traps."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dispersed_operator.model import cel, crd
from dispersed_operator.model.base import ResourceModel
from dispersed_operator.model.definitions import ACCOUNT, DEFINITIONS, JOB, ORPHAN, ResourceDefinition
from dispersed_operator.model.status import UNSEEN
from dispersed_operator.model.structural import structural_schema

REPOSITORY = Path(__file__).resolve().parents[3]
TREE, *SAMPLES = sorted(
    (REPOSITORY / "manifests" / "samples").glob("*.yaml"), key=lambda path: (path.stem != "kustomization", path)
)
ALLOWED_KEYS = {
    "description", "type", "format", "default", "enum", "minimum", "maximum", "minLength", "maxLength", "maxItems",
    "required", "maxProperties", "additionalProperties", "properties", "items", "x-kubernetes-validations",
}  # fmt: skip
UNREFUSING_KEYS = {"description", "type", "format", "default", "properties", "items"}

Schema = dict[str, Any]


def fields(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """(path, schema) of a schema and everything below it."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from fields(field, f"{path}.{name}")
    if "items" in schema:
        yield from fields(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from fields(schema["additionalProperties"], f"{path}[]")


def rules() -> list[tuple[str, dict[str, str]]]:
    """(kind and path, rule) of every rule of every kind."""
    return [
        (f"{definition.kind}{path}", rule)
        for definition in DEFINITIONS
        for path, schema in fields(definition.schema())
        for rule in schema.get("x-kubernetes-validations", ())
    ]


EVERY_DEFINITION = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)
EVERY_RULE = pytest.mark.parametrize(("path", "rule"), rules())


def test_crds_and_reference_are_what_the_models_generate() -> None:
    files = crd.generated_files(REPOSITORY / "crds", REPOSITORY / "docs" / "resources.md")
    assert crd.outdated(files) == [], "run `python -m dispersed_operator.model.crd --docs docs/resources.md crds`"
    assert sorted(path for path in files if path.suffix == ".yaml") == sorted((REPOSITORY / "crds").glob("*.yaml"))


@EVERY_DEFINITION
def test_the_yaml_says_what_the_definition_says(definition: ResourceDefinition) -> None:
    assert yaml.safe_load(crd.crd_yaml(definition)) == definition.to_crd()
    assert crd.crd_yaml(definition) == crd.crd_yaml(definition)


def test_check_reports_a_difference_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crd.main([str(tmp_path)]) == 0
    assert crd.main(["--check", str(tmp_path)]) == 0
    changed = tmp_path / JOB.file_name
    changed.write_text("edited by hand")
    assert crd.main(["--check", str(tmp_path)]) == 1
    assert changed.read_text() == "edited by hand"
    assert f"{changed} is not up to date" in capsys.readouterr().err
    assert crd.main([str(tmp_path)]) == 0
    assert yaml.safe_load(changed.read_text()) == JOB.to_crd()


@EVERY_DEFINITION
def test_the_schema_is_structural(definition: ResourceDefinition) -> None:
    for path, schema in fields(definition.schema()):
        assert set(schema) <= ALLOWED_KEYS, path


@EVERY_DEFINITION
def test_every_field_is_described_for_kubectl_explain(definition: ResourceDefinition) -> None:
    for path, schema in fields(definition.schema()):
        if path != ".metadata" and not (path.endswith("[]") and schema["type"] in {"string", "integer"}):
            assert len(schema.get("description", "")) > 8, path


@EVERY_DEFINITION
def test_every_stored_default_is_named_in_the_description(definition: ResourceDefinition) -> None:
    for path, schema in fields(definition.schema()):
        if "default" in schema and schema["type"] != "object":
            written = str(schema["default"]).lower() if schema["type"] == "boolean" else schema["default"]
            assert schema["description"].endswith(f"Default: `{written}`."), path


@EVERY_DEFINITION
def test_everything_in_a_spec_is_bounded(definition: ResourceDefinition) -> None:
    needed = {
        "string": {"maxLength"},
        "array": {"maxItems"},
        "integer": {"minimum", "maximum"},
        "object": set(),
        "boolean": set(),
    }
    for path, schema in fields(definition.schema()["properties"]["spec"]):
        if "enum" not in schema:
            assert needed[schema["type"]] <= set(schema), path
            assert ("additionalProperties" in schema) == ("maxProperties" in schema), path


@EVERY_DEFINITION
def test_integers_in_milliseconds_stay_exact_in_every_signer(definition: ResourceDefinition) -> None:
    for path, schema in fields(definition.schema()["properties"]["spec"]):
        if schema["type"] == "integer":
            assert schema["maximum"] * 1000 < 2**53, path


@EVERY_DEFINITION
def test_a_status_refuses_no_value_of_the_right_type(definition: ResourceDefinition) -> None:
    for path, schema in fields(definition.schema()["properties"]["status"]):
        assert set(schema) <= UNREFUSING_KEYS, path


@EVERY_DEFINITION
def test_an_object_that_nobody_has_seen_observes_no_generation(definition: ResourceDefinition) -> None:
    status = definition.schema()["properties"]["status"]
    default = UNSEEN if "observedGeneration" in status["properties"] else None
    assert [(path, schema["default"]) for path, schema in fields(status) if "default" in schema] == (
        [] if default is None else [("", default)]
    )


@EVERY_RULE
def test_a_message_says_what_is_wrong_and_what_to_do(path: str, rule: dict[str, str]) -> None:
    wrong, colon, remedy = rule["message"].partition(": ")
    assert wrong
    assert colon
    assert len(remedy.split()) >= 3


@EVERY_RULE
def test_a_rule_reads_no_field_without_asking_for_it(path: str, rule: dict[str, str]) -> None:
    expression = re.sub(r"r'[^']*'", "", rule["rule"])
    reads = set(re.findall(r"\b(?:self|oldSelf|a|b)(?:\.\w+)+\b(?!\()", expression))
    for read in reads:
        assert f"has({read})" in expression, read


@EVERY_RULE
def test_a_refusal_that_drops_the_message_is_not_used(path: str, rule: dict[str, str]) -> None:
    assert rule["reason"] in (cel.FORBIDDEN, cel.REQUIRED, cel.INVALID)


@pytest.mark.parametrize("place", ["DispersedJob.spec.template.env", "DispersedJob.spec.template.ssh"])
def test_a_refusal_near_a_private_value_does_not_repeat_it(place: str) -> None:
    near = [(path, rule) for path, rule in rules() if path.startswith(place) and not path.endswith((".name", ".user"))]
    assert near
    assert [path for path, rule in near if rule["reason"] == cel.INVALID] == []


def test_only_the_locked_gate_stands_at_the_root() -> None:
    at_root = [rule for path, rule in rules() if path in (JOB.kind, ACCOUNT.kind)]
    assert [rule["fieldPath"] for rule in at_root] == [
        ".spec.accountRef",
        ".spec.template",
        ".spec.deadlines",
        ".spec.retry",
        ".spec.limits.maxLifetimeSeconds",
    ]
    assert all("oldSelf.status.create.locked" in rule["rule"] for rule in at_root)


def test_names_and_columns_are_those_of_the_design() -> None:
    assert (JOB.plural, JOB.short_name, ACCOUNT.plural, ACCOUNT.short_name) == (
        "dispersedjobs",
        "djob",
        "dispersedaccounts",
        "dacct",
    )
    shown = [column.name.upper() for column in JOB.columns if not column.wide]
    assert " ".join(shown) == "TASK STATUS READY GPU ENDPOINT RATE RUNTIME AGE"
    wide = [column.name.upper() for column in JOB.columns if column.wide]
    assert " ".join(wide) == "UUID RUNS COST REASON MESSAGE ACCOUNT"
    assert " ".join(column.name.upper() for column in ACCOUNT.columns) == "READY REASON HOST JOBS RATE KEY AGE"


def test_orphans_and_shared_accounts_belong_to_no_namespace_and_everything_else_to_one() -> None:
    scopes = {definition.kind: definition.to_crd()["spec"]["scope"] for definition in DEFINITIONS}
    assert scopes == {
        "ClusterDispersedAccount": "Cluster",
        "DispersedAccount": "Namespaced",
        "DispersedJob": "Namespaced",
        "DispersedOrphan": "Cluster",
    }
    assert (ORPHAN.plural, ORPHAN.short_name) == ("dispersedorphans", "dorph")
    shown = [column.name.upper() for column in ORPHAN.columns if not column.wide]
    assert " ".join(shown) == "DECISION PHASE ACCOUNT OWNER RATE COST SEEN AGE"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_names_only_fields_that_exist(sample: Path) -> None:
    document = yaml.safe_load(sample.read_text())
    model = {definition.kind: definition.spec for definition in DEFINITIONS}[document["kind"]]
    read = model.model_validate(document["spec"])
    assert model.from_api(read.to_api()) == read


def test_there_is_a_sample_of_each_kind_of_use() -> None:
    stems = ["account", "batch-secrets", "batch", "cluster-account", "persistent-ssh"]
    assert [sample.stem for sample in SAMPLES] == stems
    assert set(yaml.safe_load(TREE.read_text())["resources"]) < {sample.name for sample in SAMPLES}


class _Union(ResourceModel):
    either: int | str
    """Not possible in a structural schema."""


def test_a_model_without_structural_form_is_refused() -> None:
    with pytest.raises(ValueError, match="union"):
        structural_schema(_Union)
