"""From template and objects to values: precedence of core/v1, the label, and a problem that never holds a value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispersed_operator.model.job import DispersedJobSpec
from dispersed_operator.model.naming import EGRESS_ALLOWED
from dispersed_operator.model.reasons import Reason, message
from dispersed_operator.model.template import RESERVED_ENV_NAMES, JobTemplate
from dispersed_operator.planning.references import (
    LARGEST_ENVIRONMENT,
    LONGEST_VALUE,
    Source,
    SourceKind,
    SourceName,
    Unreadable,
    resolve,
    source_names,
    told,
    unresolved,
)
from dispersed_operator.planning.resolved import Resolved
from dispersed_operator.planning.vocabulary import Problem
from tests.support.builders import BATCH, SSH_KEY

MARK = "marked-value"


def template(**fields: Any) -> JobTemplate:
    found = DispersedJobSpec.from_api({**BATCH, "template": {**BATCH["template"], **fields}}).template
    assert found is not None
    return found


def secret(egress: str | None = EGRESS_ALLOWED, type_: str = "Opaque", **data: str | bytes) -> Source:
    return Source(type_, egress, {key: _bytes(value) for key, value in data.items()})


def config_map(**data: str | bytes) -> Source:
    return Source(data={key: _bytes(value) for key, value in data.items()})


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def sources(**objects: Source | Unreadable) -> dict[SourceName, Source | Unreadable]:
    """Secrets by their name, ConfigMaps by theirs with `_` in front."""
    return {
        SourceName(SourceKind.CONFIG_MAP if name[0] == "_" else SourceKind.SECRET, name.removeprefix("_")): found
        for name, found in objects.items()
    }


def resolved(asked: JobTemplate, **objects: Source | Unreadable) -> Resolved:
    found = resolve(asked, "team-a", sources(**objects))
    assert isinstance(found, Resolved), found
    return found


def problem(asked: JobTemplate, **objects: Source | Unreadable) -> Problem:
    found = resolve(asked, "team-a", sources(**objects))
    assert isinstance(found, Problem), found
    return found


def secret_env(name: str = "A", *, key: str = "k", optional: bool = False) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": key, "optional": optional}}}


FROM_SECRET = template(env=[secret_env()])
ALL_OF_SECRET = template(envFrom=[{"secretRef": {"name": "s"}}])
PERHAPS_ALL_OF_SECRET = template(envFrom=[{"secretRef": {"name": "s", "optional": True}}])
REGISTRY = "registry.example.com"
PULL = template(imagePullSecretRef={"name": "s"})


def test_every_object_is_named_once_in_the_order_of_first_mention() -> None:
    asked = template(
        env=[secret_env(), {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "s", "key": "x"}}}, secret_env("C")],
        envFrom=[{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "f"}}],
        ssh={"publicKeySecretRef": {"name": "keys"}},
        imagePullSecretRef={"name": "pull"},
        volumes=[{"image": "a", "mountPath": "/a"}, {"image": "b", "mountPath": "/b", "pullSecretRef": {"name": "s"}}],
    )
    assert [f"{found.kind} {found.name}" for found in source_names(asked)] == [
        "ConfigMap c", "Secret f", "Secret s", "ConfigMap s", "Secret keys", "Secret pull",
    ]  # fmt: skip
    assert source_names(template(env=[{"name": "A", "value": "literal"}])) == ()


def test_env_overrides_env_from_and_a_later_env_from_overrides_an_earlier_one() -> None:
    asked = template(
        envFrom=[
            {"configMapRef": {"name": "c"}},
            {"secretRef": {"name": "s"}},
            {"prefix": "P_", "secretRef": {"name": "s"}},
        ],
        env=[{"name": "LITERAL", "value": "env"}, secret_env("KEY", key="LATER")],
    )
    found = resolved(asked, _c=config_map(LITERAL="c", LATER="c", FIRST="c"), s=secret(LATER="s", LITERAL="s"))
    assert found.env == {
        "FIRST": "c", "LATER": "s", "LITERAL": "env", "KEY": "s", "P_LATER": "s", "P_LITERAL": "s",
    }  # fmt: skip


def test_an_optional_variable_that_lacks_leaves_what_an_env_from_gave() -> None:
    asked = template(envFrom=[{"configMapRef": {"name": "c"}}], env=[secret_env("A", optional=True)])
    for lacking in (Unreadable.MISSING, secret(other="x")):
        assert resolved(asked, _c=config_map(A="kept"), s=lacking).env == {"A": "kept"}


def test_an_optional_object_of_an_env_from_may_lack() -> None:
    asked = template(
        envFrom=[{"secretRef": {"name": "s", "optional": True}}, {"configMapRef": {"name": "c", "optional": True}}]
    )
    assert resolved(asked, s=Unreadable.MISSING, _c=Unreadable.MISSING).env == {}


def test_keys_that_are_no_variables_and_reserved_names_are_left_out_and_told() -> None:
    asked = template(envFrom=[{"secretRef": {"name": "s"}}, {"prefix": "P_", "secretRef": {"name": "s"}}])
    found = resolved(asked, s=secret(**{"a-b": "1", "1x": "1", "OK": "1", "SSH_PUBKEY": "1"}))
    assert found.env == {"OK": "1", "P_OK": "1", "P_1x": "1", "P_SSH_PUBKEY": "1"}
    assert found.skipped == ("1x (Secret s)", "SSH_PUBKEY (Secret s)", "a-b (Secret s)", "P_a-b (Secret s)")
    assert told(found.skipped).endswith("1x (Secret s), SSH_PUBKEY (Secret s), a-b (Secret s), P_a-b (Secret s)")
    assert told(tuple(map(str, range(25)))).endswith("19 and 5 more")


@given(
    later=st.dictionaries(st.text(st.characters(codec="ascii"), max_size=8), st.text("ab", max_size=4)),
    earlier=st.dictionaries(st.sampled_from(["A", "B", "a-b", *RESERVED_ENV_NAMES]), st.text("cd", max_size=4)),
)
def test_whatever_the_keys_the_environment_holds_fit_names_with_the_latest_value(
    later: dict[str, str], earlier: dict[str, str]
) -> None:
    asked = template(envFrom=[{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}])
    data = {key: value.encode() for key, value in later.items()}
    found = resolved(asked, _c=config_map(**earlier), s=Source("Opaque", EGRESS_ALLOWED, data))
    assert all(name.isidentifier() and name not in RESERVED_ENV_NAMES for name in found.env)
    together = {**earlier, **later}
    assert dict(found.env) == {name: together[name] for name in found.env}
    left_out = {item.rpartition(" (")[0] for item in found.skipped}
    assert set(together) - set(found.env) <= left_out


@pytest.mark.reason("SecretNotOptedIn")
@pytest.mark.parametrize(
    ("label", "command"),
    [
        (None, "kubectl label secret -n team-a s dispersed.dev/egress=allowed. "),
        ("no", "kubectl label secret -n team-a s dispersed.dev/egress=allowed --overwrite. "),
    ],
)
@pytest.mark.parametrize("asked", [FROM_SECRET, PULL, PERHAPS_ALL_OF_SECRET])
def test_a_secret_without_the_label_is_refused_with_the_command_that_allows_it(
    asked: JobTemplate, label: str | None, command: str
) -> None:
    found = problem(asked, s=secret(label, k=MARK))
    assert found.reason is Reason.SECRET_NOT_OPTED_IN
    assert command in message(found.reason, found.message)
    assert MARK not in found.message


def test_the_command_is_whole_even_for_the_longest_names() -> None:
    long = "s" * 253
    asked = template(volumes=[{"image": "i", "mountPath": "/a", "pullSecretRef": {"name": long}}])
    found = resolve(asked, "n" * 63, {SourceName(SourceKind.SECRET, long): secret("no")})
    assert isinstance(found, Problem)
    assert f"{long} dispersed.dev/egress=allowed --overwrite" in message(found.reason, found.message)


def test_a_config_map_needs_no_label_and_is_no_secret() -> None:
    asked = template(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}])
    found = resolved(asked, _c=config_map(k="v"))
    assert found.env == {"A": "v"}
    assert found.secrets == frozenset()


BAD = [
    (FROM_SECRET, Unreadable.MISSING, "env[0].valueFrom.secretKeyRef: the Secret team-a/s does not exist"),
    (FROM_SECRET, Unreadable.FORBIDDEN, "may not be read by the operator"),
    (FROM_SECRET, secret(other=MARK), "the Secret team-a/s has no key k"),
    (FROM_SECRET, secret(k=f"{MARK}ß"), "under the key k that is not ASCII text"),
    (FROM_SECRET, secret(k=b"\x00marked-value"), "under the key k that is not ASCII text"),
    (FROM_SECRET, secret(k="x" * (LONGEST_VALUE + 1)), f"more than {LONGEST_VALUE} characters under the key k"),
    (template(env=[secret_env(optional=True)]), Unreadable.FORBIDDEN, "may not be read by the operator"),
    (ALL_OF_SECRET, Unreadable.MISSING, "envFrom[0].secretRef: the Secret"),
    (ALL_OF_SECRET, secret(A=f"ü{MARK}"), "under the key A that is not ASCII"),
    (template(ssh={"publicKeySecretRef": {"name": "s"}}), secret(other=MARK), "has no key ssh-publickey"),
    (
        template(ssh={"publicKeySecretRef": {"name": "s", "key": "id"}}),
        secret(id=f"-----BEGIN OPENSSH PRIVATE KEY-----\n{MARK}"),
        "has no OpenSSH public key under the key id",
    ),
    (
        template(ssh={"publicKeySecretRef": {"name": "s", "key": "id"}}),
        secret(id=f"{SSH_KEY}\n{SSH_KEY} {MARK}"),
        "under the key id that is not one line",
    ),
    (PULL, secret(type_="kubernetes.io/basic-auth", username="u", password=MARK), "is of type kubernetes.io/basic"),
    (PULL, secret(user="u", secret=MARK), "has no key host"),
    (PULL, secret(host=REGISTRY, user="u", secret=f"{MARK}\n"), "under the key secret that is not one line"),
    (PULL, secret(host=REGISTRY, user="", secret=MARK), "under the key user that is not one line"),
    (PULL, secret(host="other.example.com", user="u", secret=MARK), f"is for another registry than {REGISTRY}"),
    (PULL, secret(type_="kubernetes.io/dockerconfigjson"), "has no key .dockerconfigjson"),
]


@pytest.mark.reason("InvalidReference")
@pytest.mark.parametrize(("asked", "found", "says"), BAD, ids=[case[2] for case in BAD])
def test_what_cannot_be_used_is_named_by_field_object_and_key_and_never_by_value(
    asked: JobTemplate, found: Source | Unreadable, says: str
) -> None:
    why = problem(asked, s=found)
    assert why.reason is Reason.INVALID_REFERENCE
    assert why.message.startswith("spec.template.")
    assert says in why.message
    assert "marked" not in why.message


def test_an_environment_that_is_too_large_is_refused() -> None:
    asked = ALL_OF_SECRET
    data = {f"K{number}": "x" * LONGEST_VALUE for number in range(LARGEST_ENVIRONMENT // LONGEST_VALUE)}
    assert "has more than" in problem(asked, s=secret(**data)).message


def test_a_public_key_may_end_in_a_line_end() -> None:
    asked = template(ssh={"publicKeySecretRef": {"name": "s"}})
    assert resolved(asked, s=secret(**{"ssh-publickey": f"{SSH_KEY}\r\n"})).ssh_key == SSH_KEY


def test_a_login_by_keys_gives_the_path_relative_to_the_host() -> None:
    login = resolved(PULL, s=secret(host=REGISTRY, user="u", secret=MARK)).login
    assert login is not None
    assert (login.host, login.image, login.user, login.secret) == ("registry.example.com", "team/train", "u", MARK)


def test_volumes_have_logins_of_their_own() -> None:
    asked = template(
        volumes=[
            {"image": "group/open", "mountPath": "/a"},
            {"image": "group/data", "mountPath": "/b", "registry": "r.example.com", "pullSecretRef": {"name": "s"}},
        ]
    )
    none, login = resolved(asked, s=secret(host="r.example.com", user="u", secret=MARK)).volume_logins
    assert none is None
    assert login is not None
    assert (login.host, login.image) == ("r.example.com", "group/data")


def test_no_value_shows_in_the_words_for_what_was_resolved() -> None:
    asked = template(
        env=[secret_env()],
        ssh={"publicKeySecretRef": {"name": "s", "key": "ssh"}},
        imagePullSecretRef={"name": "s"},
        volumes=[{"image": "a/b", "mountPath": "/a", "pullSecretRef": {"name": "s"}}],
    )
    values = {
        "k": MARK,
        "ssh": f"{SSH_KEY}{MARK}",
        "host": REGISTRY,
        "user": f"u{MARK}",
        "secret": f"p{MARK}",
    }
    objects = sources(s=secret(**values))
    asked = asked.model_copy(
        update={"volumes": tuple(v.model_copy(update={"registry": "registry.example.com"}) for v in asked.volumes)}
    )
    found = resolve(asked, "team-a", objects)
    assert isinstance(found, Resolved)
    assert MARK not in f"{found!r} {objects!r}"
    assert found.secrets == {MARK, f"{SSH_KEY}{MARK}", f"u{MARK}", f"p{MARK}"}


def test_a_reference_that_stays_broken_is_read_again_after_5_to_30_seconds_and_anew_after_an_edit() -> None:
    broken = Problem(Reason.INVALID_REFERENCE, "it lacks")
    found, delays = None, []
    for _ in range(6):
        found = unresolved(broken, found, generation=1, now=100.0)
        delays.append(found.due - 100.0)
    assert delays == [5, 10, 20, 30, 30, 30]
    assert unresolved(broken, found, generation=2, now=100.0).due == 105.0
