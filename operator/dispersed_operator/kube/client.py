"""A thin client of the API server: plain dicts in, plain dicts out, every failure an error of our tree.

It rides on `kubernetes.aio` for configuration, TLS and tokens, and closes four traps of it: without `auth_settings` a
request is silently anonymous; `call_api` raises for no HTTP status; network errors stay aiohttp's; and proxy variables
of the environment are obeyed, which also doubles the price of a request.

Invariants:

* every call ends by its deadline;
* a write is sent again only if it was certainly not processed: after 429, or where no connection came to be;
* what the server says in words never leaves this module: a 422 echoes the whole object, env values included.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from dispersed_operator import errors
from dispersed_operator.kube.answers import error_of
from dispersed_operator.kube.resources import (
    CONFIG_MAPS,
    DISPERSED_ACCOUNTS,
    DISPERSED_JOBS,
    EVENTS,
    NAMESPACES,
    RESOURCES,
    SECRETS,
    Resource,
)

__all__ = [
    "CONFIG_MAPS",
    "DISPERSED_ACCOUNTS",
    "DISPERSED_JOBS",
    "EVENTS",
    "NAMESPACES",
    "RESOURCES",
    "SECRETS",
    "KubeClient",
    "Resource",
]

JsonObject = dict[str, Any]
T = TypeVar("T")

FIELD_MANAGER = "dispersed-operator"
DEADLINE = 15.0
LIST_DEADLINE = 120.0
_CONNECT = 5.0
_BACK_OFF = (0.1, 0.3, 1.0, 2.0)  # then the last one again
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be sent. In words it is method and path: query and body stay out of error texts."""

    method: str
    path: str
    query: Mapping[str, str]
    body: JsonObject | None = None
    content_type: str = _JSON

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class NotConnected(errors.KubernetesUnreachable):
    """No connection came to be, so the request was certainly not processed."""


class KubeClient:
    """The verbs that the operator needs. Make it inside a running event loop; close it there.

    `configuration` comes from `Credentials.configuration`. `random` in [0, 1) spreads retries. Deadlines are in seconds
    and span all retries of a call. Each method raises the `Kubernetes…` errors of `errors`, nothing else.

    `api` makes the library's client, whose `rest_client` carries requests: the one place where another way to the
    server than a socket can be laid.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        random: Callable[[], float],
        user_agent: str = FIELD_MANAGER,
        api: Callable[[Configuration], ApiClient] = ApiClient,
    ):
        self._api = api(configuration)
        self._api.user_agent = user_agent
        self._random = random

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, res: Resource, *, namespace: str | None, name: str, deadline: float = DEADLINE) -> JsonObject:
        """One object, read by quorum. `KubernetesNotFound` says that the server knows the kind, but not this object."""
        return await self._read(res.path(namespace=namespace, name=name), {}, deadline)

    async def document(self, path: str, *, deadline: float = DEADLINE) -> JsonObject:
        """What the server says of itself, as at `/version` or below `/openapi/v3`. A path that it does not serve is a
        `KubernetesServerError` with status 404."""
        return await self._read(path, {}, deadline)

    async def list_page(
        self,
        res: Resource,
        *,
        namespace: str | None = None,
        chunk: int = 500,
        token: str = "",
        deadline: float = DEADLINE,
    ) -> tuple[list[JsonObject], str, str]:
        """One page by quorum: items, the resourceVersion of the whole listing, and the token of the next page or ""."""
        items, metadata = await self._page(res, namespace, chunk, token, deadline)
        return items, metadata["resourceVersion"], metadata.get("continue") or ""

    async def count(
        self, res: Resource, *, namespace: str | None = None, deadline: float = DEADLINE
    ) -> tuple[int | None, str]:
        """How many there are, and the resourceVersion at which that was asked, by quorum; None where the server does
        not tell. It calls the number an estimate, so it proves nothing."""
        items, metadata = await self._page(res, namespace, 1, "", deadline)
        rest = metadata.get("remainingItemCount", None if metadata.get("continue") else 0)
        return (len(items) + rest if isinstance(rest, int) else None), metadata["resourceVersion"]

    async def _page(
        self, res: Resource, namespace: str | None, chunk: int, token: str, deadline: float
    ) -> tuple[list[JsonObject], JsonObject]:
        query = {"limit": str(chunk)} | ({"continue": token} if token else {})
        answer = await self._read(res.path(namespace=namespace), query, deadline)
        metadata = answer.get("metadata") or {}
        items = answer.get("items")
        if not isinstance(items, list) or not isinstance(metadata.get("resourceVersion"), str):
            raise errors.KubernetesServerError(f"listing {res.plural}: the answer is no listing", status=200)
        return _named(items, answer), metadata

    async def list_all(
        self, res: Resource, *, namespace: str | None = None, chunk: int = 500, deadline: float = LIST_DEADLINE
    ) -> tuple[list[JsonObject], str]:
        """All items by quorum, and the resourceVersion of the listing; starts over if the listing expires under way."""
        return await self.list_each(res, lambda item: item, namespace=namespace, chunk=chunk, deadline=deadline)

    async def list_each(
        self,
        res: Resource,
        read: Callable[[JsonObject], T | None],
        *,
        namespace: str | None = None,
        chunk: int = 500,
        deadline: float = LIST_DEADLINE,
    ) -> tuple[list[T], str]:
        """As `list_all`, but each item is given to `read` when its page comes and only what that returns is kept, and
        nothing for None: ten thousand documents at once are more than a small pod has."""
        try:
            async with asyncio.timeout(deadline):
                while True:
                    listing = await self._list_once(res, read, namespace, chunk)
                    if listing is not None:
                        return listing
        except TimeoutError:
            raise errors.KubernetesUnreachable(f"listing {res.plural}: no answer within {deadline:g} s") from None

    async def patch(
        self,
        res: Resource,
        *,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        subresource: str | None = None,
        deadline: float = DEADLINE,
    ) -> JsonObject:
        """A JSON merge patch; the object after it. `metadata.resourceVersion` in `body` makes it compare-and-swap."""
        path = res.path(namespace=namespace, name=name, subresource=subresource)
        return await self._write("PATCH", path, dict(body), deadline, content_type=_MERGE_PATCH)

    async def create(
        self, res: Resource, *, namespace: str | None, body: Mapping[str, Any], deadline: float = DEADLINE
    ) -> JsonObject:
        """The created object. `KubernetesConflict` with reason AlreadyExists if the name is taken."""
        return await self._write("POST", res.path(namespace=namespace), dict(body), deadline)

    async def delete(
        self,
        res: Resource,
        *,
        namespace: str | None,
        name: str,
        uid: str | None = None,
        resource_version: str | None = None,
        deadline: float = DEADLINE,
    ) -> JsonObject:
        """Delete one object, dependents in the background; the server's answer.

        A precondition (`uid`, `resource_version`) that fails is `KubernetesConflict`.
        """
        conditions = {"uid": uid, "resourceVersion": resource_version}
        body: JsonObject = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        body["preconditions"] = {key: value for key, value in conditions.items() if value is not None}
        return await self._write("DELETE", res.path(namespace=namespace, name=name), body, deadline)

    async def _list_once(
        self, res: Resource, read: Callable[[JsonObject], T | None], namespace: str | None, chunk: int
    ) -> tuple[list[T], str] | None:
        items: list[T] = []
        token = ""
        while True:
            try:
                page, version, token = await self.list_page(res, namespace=namespace, chunk=chunk, token=token)
            except errors.KubernetesError as error:
                if error.status == 410:
                    return None
                raise
            items += (kept for kept in map(read, page) if kept is not None)
            if not token:
                return items, version

    async def _read(self, path: str, query: Mapping[str, str], deadline: float) -> JsonObject:
        return await self._until_answered(_Request("GET", path, query), deadline, _harmless_to_repeat)

    async def _write(
        self, method: str, path: str, body: JsonObject, deadline: float, *, content_type: str = _JSON
    ) -> JsonObject:
        query = {} if method == "DELETE" else {"fieldManager": FIELD_MANAGER}
        request = _Request(method, path, query, body, content_type)
        return await self._until_answered(request, deadline, _certainly_not_processed)

    async def _until_answered(
        self, request: _Request, deadline: float, may_repeat: Callable[[errors.KubernetesError], bool]
    ) -> JsonObject:
        """Send until there is an answer or an error that may not be repeated."""
        last: errors.KubernetesError | None = None
        try:
            async with asyncio.timeout(deadline):
                for attempt in itertools.count():
                    last = None  # once it is sent again, an earlier "not processed" says nothing any more
                    try:
                        return await self._send(request)
                    except errors.KubernetesError as error:
                        if not may_repeat(error):
                            raise
                        last = error
                    await asyncio.sleep(self._back_off(attempt, last))
        except TimeoutError:
            pass
        raise last or errors.KubernetesUnreachable(f"{request}: no answer within {deadline:g} s")

    def _back_off(self, attempt: int, error: errors.KubernetesError) -> float:
        delay = _BACK_OFF[min(attempt, len(_BACK_OFF) - 1)] * (0.75 + 0.5 * self._random())
        asked = error.retry_after if isinstance(error, errors.KubernetesThrottled) else None
        return max(delay, asked or 0.0)

    async def _send(self, request: _Request) -> JsonObject:
        """One request. The library's own decoding is not used: it costs a third, and drops unknown fields."""
        headers = {"Accept": _JSON, "Content-Type": request.content_type}
        method, url, headers, body, _ = await self._api.param_serialize(
            request.method, request.path, header_params=headers, body=request.body, auth_settings=["BearerToken"]
        )
        if request.query:
            url += "?" + urlencode(request.query)
        # No total time-out of aiohttp's: if it fires together with ours, aiohttp swallows our cancellation.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
        try:
            answer = await self._api.call_api(method, url, headers, body, _request_timeout=timeout)
            content: bytes = await answer.read()  # type: ignore[no-untyped-call]
        except aiohttp.ClientConnectorError as error:
            raise NotConnected(f"{request}: no connection ({type(error).__name__})") from None
        except (aiohttp.ClientError, OSError) as error:  # aiohttp's time-outs are OSErrors
            raise errors.KubernetesUnreachable(f"{request}: {type(error).__name__}") from None
        if answer.status >= 300:
            raise error_of(str(request), answer.status, answer.headers.get("Retry-After"), content)
        return _decoded(str(request), answer.status, content)


def _harmless_to_repeat(error: errors.KubernetesError) -> bool:
    repeatable = (errors.KubernetesUnreachable, errors.KubernetesThrottled)
    return isinstance(error, repeatable) or error.status >= 500


def _certainly_not_processed(error: errors.KubernetesError) -> bool:
    return isinstance(error, (NotConnected, errors.KubernetesThrottled))


def _decoded(what: str, status: int, content: bytes) -> JsonObject:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise errors.KubernetesServerError(f"{what}: the answer is no JSON object", status=status)
    return answer


def _named(items: Sequence[Any], listing: Mapping[str, Any]) -> list[JsonObject]:
    """Items of built-in kinds come without kind and apiVersion; they are those of the list."""
    kind, api_version = str(listing.get("kind", "")).removesuffix("List"), listing.get("apiVersion", "")
    return [{"kind": kind, "apiVersion": api_version} | item for item in items]
