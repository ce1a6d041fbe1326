"""Which entry of a docker config belongs to an image, as docker and the kubelet decide it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from dispersed_operator.planning.registries import LoginProblem, login_from_docker_config, login_from_keys, split_image

ENTRY = {"username": "u", "password": "marked-password"}


def config(**auths: Any) -> str:
    return json.dumps({"auths": auths})


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("image", "host", "path"),
    [
        ("registry.example.com/team/worker", "registry.example.com", "team/worker"),
        ("localhost/worker", "localhost", "worker"),
        ("registry:5000/worker", "registry:5000", "worker"),
        ("team/worker", None, "team/worker"),
        ("worker", None, "worker"),
        ("worker.v1", None, "worker.v1"),
    ],
)
def test_the_first_part_of_an_image_is_a_host_if_it_looks_like_one(image: str, host: str | None, path: str) -> None:
    assert split_image(image) == (host, path)


@pytest.mark.parametrize(
    ("name", "image", "host", "because"),
    [
        ("registry.example.com", "registry.example.com/a/b", "registry.example.com", "the host alone"),
        ("https://registry.example.com/", "registry.example.com/a/b", "registry.example.com", "a URL, as docker login"),
        ("registry.example.com:5000", "registry.example.com:5000/a", "registry.example.com:5000", "with its port"),
        ("registry.example.com/a", "registry.example.com/a/b", "registry.example.com", "a path above the image"),
        ("*.example.com", "registry.example.com/a/b", "registry.example.com", "a star is one label"),
        ("https://index.docker.io/v1/", "team/worker", "docker.io", "an image without a host is docker's"),
        ("docker.io", "docker.io/team/worker", "docker.io", "the hub by its own name"),
    ],
)
def test_an_entry_fits(name: str, image: str, host: str, because: str) -> None:
    login = login_from_docker_config(config(**{name: ENTRY}), image, None)
    assert (login.host, login.user, login.secret) == (host, "u", "marked-password"), because
    assert login.image == image.removeprefix(f"{host}/"), because


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("example.com", "a parent domain is another registry"),
        ("registry.example.com:5000", "another port"),
        ("registry.example.com/a/bb", "a path is compared by whole parts"),
        ("*.com", "a star is one label, not two"),
        ("https://index.docker.io/v1/", "docker's own"),
    ],
)
def test_an_entry_for_another_registry_is_not_used(name: str, because: str) -> None:
    with pytest.raises(LoginProblem, match=r"has no entry for the registry registry\.example\.com") as caught:
        login_from_docker_config(config(**{name: ENTRY}), "registry.example.com/a/b", None)
    assert "marked" not in str(caught.value), because


def test_the_longest_entry_that_fits_wins() -> None:
    auths = {"registry.example.com": ENTRY, "registry.example.com/a": auth("deep:inner"), "*.example.com": ENTRY}
    assert login_from_docker_config(config(**auths), "registry.example.com/a/b", None).user == "deep"


def test_a_registry_that_is_given_need_not_stand_in_the_name() -> None:
    text = config(**{"registry.example.com": auth("u:p:with:colons")})
    for image in ("a/b", "registry.example.com/a/b"):
        login = login_from_docker_config(text, image, "registry.example.com")
        assert (login.host, login.image, login.secret) == ("registry.example.com", "a/b", "p:with:colons")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("marked {", "holds no JSON"),
        ("[]", 'has no "auths"'),
        ('{"auths": "marked"}', 'has no "auths"'),
        (config(**{"r.example.com": {"auth": "marked!"}}), 'whose "auth" is not user:password in base64'),
        (config(**{"r.example.com": auth("marked-without-colon")}), 'whose "auth" is not user:password in base64'),
        (config(**{"r.example.com": {"username": "marked"}}), 'neither "auth" nor "username" and "password"'),
        (config(**{"r.example.com": "marked"}), "has no entry for the registry r.example.com"),
    ],
)
def test_a_config_that_gives_no_login_is_named_without_its_contents(text: str, says: str) -> None:
    with pytest.raises(LoginProblem) as caught:
        login_from_docker_config(text, "r.example.com/a", None)
    assert says in str(caught.value)
    assert "marked" not in str(caught.value)


def test_keys_serve_an_image_that_leaves_the_registry_open_and_one_of_their_host() -> None:
    values = {"host": "registry.gitlab.com", "user": "u", "secret": "p"}
    for image in ("group/project/name", "registry.gitlab.com/group/project/name"):
        login = login_from_keys("Opaque", values.__getitem__, image, None)
        assert (login.host, login.image) == ("registry.gitlab.com", "group/project/name")
