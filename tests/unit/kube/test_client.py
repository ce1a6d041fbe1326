"""The client under failures: what it repeats, what it never repeats, and what its errors say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from dispersed_operator import errors
from dispersed_operator.kube.client import DISPERSED_JOBS, NAMESPACES, SECRETS, KubeClient, NotConnected
from tests.unit.kube.scripted import client_of, failure, hang_up, ok, plain_configuration

OBJECT = {"metadata": {"name": "train", "resourceVersion": "7"}}
SECRET_TEXT = "hf_token_value"


async def patch(client: KubeClient, *, deadline: float = 15.0) -> dict[str, Any]:
    return await client.patch(DISPERSED_JOBS, namespace="team", name="train", body={"a": 1}, deadline=deadline)


async def read(client: KubeClient, *, deadline: float = 15.0) -> dict[str, Any]:
    return await client.get(DISPERSED_JOBS, namespace="team", name="train", deadline=deadline)


@pytest.mark.parametrize("trouble", [failure(500, "InternalError"), failure(429, "TooManyRequests"), hang_up])
async def test_a_read_is_repeated_until_it_succeeds(trouble: Any) -> None:
    async with client_of(trouble, trouble, ok(OBJECT)) as (client, script):
        assert await read(client) == OBJECT
        assert len(script.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (failure(503, "ServiceUnavailable"), errors.KubernetesServerError),
        (failure(504, "Timeout"), errors.KubernetesServerError),
        (failure(409, "Conflict"), errors.KubernetesConflict),
        (hang_up, errors.KubernetesUnreachable),
    ],
)
async def test_a_write_that_may_have_been_processed_is_not_repeated(trouble: Any, error: type[Exception]) -> None:
    async with client_of(trouble, ok(OBJECT)) as (client, script):
        with pytest.raises(error):
            await patch(client)
        assert len(script.requests) == 1


async def test_a_throttled_write_is_repeated_because_it_was_not_processed() -> None:
    async with client_of(failure(429, "TooManyRequests"), ok(OBJECT)) as (client, script):
        assert await patch(client) == OBJECT
        assert script.bodies == [{"a": 1}, {"a": 1}]


async def test_a_write_without_a_connection_says_so() -> None:
    async with client_of(ok(OBJECT)) as (client, _):
        host = client._api.configuration.host
    async with KubeClient(plain_configuration(host), random=lambda: 0.0) as late:
        with pytest.raises(NotConnected) as caught:
            await patch(late, deadline=0.5)
        assert isinstance(caught.value, errors.KubernetesUnreachable)


async def test_a_call_ends_by_its_deadline_when_the_server_never_answers() -> None:
    released = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async with client_of(never) as (client, _):
        with pytest.raises(errors.KubernetesUnreachable):
            await read(client, deadline=0.1)
        released.set()


async def test_a_write_that_hangs_after_a_refusal_does_not_count_as_refused() -> None:
    released = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async with client_of(failure(429, "TooManyRequests"), never) as (client, script):
        with pytest.raises(errors.KubernetesUnreachable):
            await patch(client, deadline=1.0)
        assert len(script.requests) == 2
        released.set()


async def test_a_throttled_call_tells_how_long_the_server_asked_to_wait() -> None:
    async with client_of(failure(429, "TooManyRequests", retryAfterSeconds=30)) as (client, _):
        with pytest.raises(errors.KubernetesThrottled) as caught:
            await patch(client, deadline=0.2)
        assert caught.value.retry_after == 30


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (400, "BadRequest", errors.KubernetesInvalid),
        (401, "Unauthorized", errors.KubernetesForbidden),
        (403, "Forbidden", errors.KubernetesForbidden),
        (404, "NotFound", errors.KubernetesNotFound),
        (409, "AlreadyExists", errors.KubernetesConflict),
        (415, "UnsupportedMediaType", errors.KubernetesInvalid),
        (418, "Teapot", errors.KubernetesServerError),
        (422, "Invalid", errors.KubernetesInvalid),
    ],
)
async def test_each_status_has_its_error_and_no_word_of_the_server(
    status: int, reason: str, error: type[errors.KubernetesError]
) -> None:
    answer = failure(status, reason, message=SECRET_TEXT, kind="dispersedjobs", name="train", group=SECRET_TEXT)
    async with client_of(answer) as (client, _):
        with pytest.raises(errors.KubernetesError) as caught:
            await patch(client)
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert "dispersedjobs train" in str(caught.value)
    assert SECRET_TEXT not in str(caught.value)


async def test_fields_of_a_status_that_hold_free_text_are_left_out() -> None:
    answer = failure(422, f"x {SECRET_TEXT}", kind=f"k {SECRET_TEXT}", name=f"{SECRET_TEXT}/{SECRET_TEXT}")
    async with client_of(answer) as (client, _):
        with pytest.raises(errors.KubernetesInvalid) as caught:
            await patch(client)
    assert SECRET_TEXT not in str(caught.value) + caught.value.reason


@pytest.mark.parametrize(
    "answer", [web.Response(status=404, text="404 page not found\n"), failure(404, "NotFound")], ids=["text", "status"]
)
async def test_a_404_that_names_no_object_is_not_taken_for_its_absence(answer: web.Response) -> None:
    async with client_of(answer) as (client, _):
        with pytest.raises(errors.KubernetesServerError) as caught:
            await read(client)
    assert caught.value.status == 404


@pytest.mark.parametrize("text", ["", "<html>", "[]", "null"])
async def test_an_answer_that_is_no_json_object_is_an_error(text: str) -> None:
    async with client_of(web.Response(text=text)) as (client, _):
        with pytest.raises(errors.KubernetesServerError):
            await patch(client)


def page(version: str, *names: str, more: str = "") -> web.Response:
    items = [{"metadata": {"name": name}} for name in names]
    metadata = {"resourceVersion": version} | ({"continue": more} if more else {})
    return ok({"kind": "SecretList", "apiVersion": "v1", "metadata": metadata, "items": items})


async def test_a_listing_is_read_in_chunks_by_quorum_and_its_items_get_their_kind() -> None:
    async with client_of(page("9", "a", more="t=+/1"), page("9", "b")) as (client, script):
        items, version = await client.list_all(SECRETS, namespace="team", chunk=1)
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert {(item["kind"], item["apiVersion"]) for item in items} == {("Secret", "v1")}
    assert version == "9"
    first, second = script.requests
    assert first == "GET /api/v1/namespaces/team/secrets?limit=1"
    assert "resourceVersion" not in second


async def test_the_token_of_the_next_page_arrives_as_it_was_given() -> None:
    tokens: list[str | None] = []

    async def note(request: web.Request) -> web.Response:
        tokens.append(request.query.get("continue"))
        return page("9", "b")

    async with client_of(page("9", "a", more="eyJ2=+/&%"), note) as (client, _):
        await client.list_all(SECRETS, namespace="team")
    assert tokens == ["eyJ2=+/&%"]


async def test_a_listing_that_expires_under_way_starts_over() -> None:
    async with client_of(page("9", "a", more="t"), failure(410, "Expired"), page("12", "c")) as (client, script):
        items, version = await client.list_all(SECRETS)
    assert ([item["metadata"]["name"] for item in items], version) == (["c"], "12")
    assert len(script.requests) == 3


async def test_of_a_listing_only_that_is_kept_which_is_read_of_each_item() -> None:
    async with client_of(page("9", "a", more="t"), failure(410, "Expired"), page("12", "c", "d")) as (client, _):
        names, version = await client.list_each(SECRETS, lambda item: str(item["metadata"]["name"]))
    assert (names, version) == (["c", "d"], "12"), "what was read before the listing expired does not count"


async def test_a_listing_that_expires_for_ever_ends_by_its_deadline() -> None:
    async with client_of(failure(410, "Expired")) as (client, _):
        with pytest.raises(errors.KubernetesUnreachable):
            await client.list_all(SECRETS, deadline=0.2)


async def test_an_answer_that_is_no_listing_is_not_an_empty_listing() -> None:
    async with client_of(ok({"metadata": {"resourceVersion": "3"}})) as (client, _):
        with pytest.raises(errors.KubernetesServerError):
            await client.list_all(SECRETS)


async def test_a_patch_is_a_merge_patch_with_its_nulls_under_our_name() -> None:
    body = {"metadata": {"resourceVersion": "7"}, "status": {"gone": None, "list": [None, {}]}}
    async with client_of(ok(OBJECT)) as (client, script):
        await client.patch(DISPERSED_JOBS, namespace="team", name="train", body=body, subresource="status")
    path = "/apis/dispersed.dev/v1alpha1/namespaces/team/dispersedjobs/train/status"
    assert script.requests == [f"PATCH {path}?fieldManager=dispersed-operator"]
    assert script.bodies == [body]
    assert script.headers[0]["Content-Type"] == "application/merge-patch+json"


async def test_a_deletion_carries_its_preconditions() -> None:
    async with client_of(ok({"kind": "Status"})) as (client, script):
        await client.delete(SECRETS, namespace="team", name="ssh", uid="u-1", resource_version="5")
    assert script.bodies[0]["preconditions"] == {"uid": "u-1", "resourceVersion": "5"}


async def test_names_are_encoded_into_the_path() -> None:
    async with client_of(ok(OBJECT)) as (client, script):
        await client.get(NAMESPACES, namespace=None, name="a/b?c")
    assert script.requests == ["GET /api/v1/namespaces/a%2Fb%3Fc"]


@pytest.mark.parametrize(("namespace", "name"), [("team", ""), ("", "x"), (None, "x"), ("team", ".."), ("team", ".")])
async def test_a_path_that_would_mean_another_object_is_refused(namespace: str | None, name: str) -> None:
    async with client_of(ok(OBJECT)) as (client, script):
        with pytest.raises(ValueError, match="name"):
            await client.delete(SECRETS, namespace=namespace, name=name)
        assert script.requests == []


async def test_proxy_variables_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with client_of(ok(OBJECT)) as (client, _):
        assert await read(client, deadline=2.0) == OBJECT
