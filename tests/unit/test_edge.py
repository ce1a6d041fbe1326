"""The edge when kopf ends by itself: somebody must notice, and nothing may hang."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from dispersed_operator.edge import _LONGEST_HOLD, _QUIET_SECONDS, Edge, _EndlessBackOffs, _LoginPace, _PagePace
from dispersed_operator.errors import KubernetesServerError
from dispersed_operator.kube.credentials import Credentials, Kubeconfig
from tests.simulation.virtual_loop import run
from tests.unit.kube.scripted import Script, serving

WORDS = "what the server said"


def credentials_for(folder: Path, url: str) -> Credentials:
    path = folder / "config"
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return Credentials(Kubeconfig(str(path)))


@pytest.mark.parametrize(
    "answer",
    [web.json_response({"message": WORDS}, status=400), web.json_response([WORDS]), web.Response(text=WORDS)],
    ids=["refused", "no object", "no json"],
)
async def test_a_kopf_that_ends_by_itself_is_reported_without_words_of_the_server(
    tmp_path: Path, answer: web.Response
) -> None:
    async def discovery(request: web.Request) -> web.StreamResponse:
        return answer if request.path == "/apis" else web.json_response({"versions": []})

    async with serving(Script([discovery])) as url:
        edge = Edge(credentials_for(tmp_path, url), lambda _type, _body: None, random=lambda: 0.5)
        edge.start()
        with pytest.raises(KubernetesServerError, match="the watch has ended") as caught:
            await edge.failed
        assert WORDS not in str(caught.value)
        assert not edge.ready
        await edge.stop()


async def test_an_edge_that_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    edge = Edge(credentials_for(tmp_path, "http://127.0.0.1:1"), lambda _type, _body: None, random=lambda: 0.5)
    await edge.stop()
    assert not edge.ready


async def test_stopping_does_not_mind_that_whoever_awaited_the_failure_was_cancelled(tmp_path: Path) -> None:
    edge = Edge(credentials_for(tmp_path, "http://127.0.0.1:1"), lambda _type, _body: None, random=lambda: 0.5)
    edge.start()
    edge.failed.cancel()
    await edge.stop()
    assert edge.failed.cancelled()


def test_back_offs_never_end_and_start_over_for_each_request() -> None:
    back_offs = _EndlessBackOffs(lambda: 0.5)
    for _ in range(2):
        several = [delay for delay, _ in zip(back_offs, range(500), strict=False)]
        assert several[:4] == [0.5, 1.0, 2.0, 3.0]
        assert len(several) == 500


def test_logins_in_a_row_slow_down_and_a_calm_minute_forgives() -> None:
    pace = _LoginPace()
    assert [pace.delay(now) for now in (0.0, 0.1, 1.2, 3.3, 8.0)] == [0.0, 1.0, 2.0, 4.0, 8.0]
    assert [pace.delay(9.0) for _ in range(10)][-1] == 30.0
    assert pace.delay(100.0) == 0.0


def seconds_before_the_next_page(*, handled: int, every: float, query: Mapping[str, str]) -> float:
    """How long a page waits while so many objects are handled; on a clock that jumps."""

    async def main() -> float:
        pages, loop = _PagePace(), asyncio.get_running_loop()
        for number in range(handled):
            loop.call_later(number * every, pages.handled)
        begun = loop.time()
        await pages.wait(query)
        return loop.time() - begun

    return run(main)


def test_the_next_page_of_a_list_waits_until_the_objects_of_the_last_one_were_handled() -> None:
    waits = partial(seconds_before_the_next_page, query={"limit": "500", "continue": "token"})
    assert waits(handled=0, every=1.0) >= _QUIET_SECONDS, "kopf has not begun yet"
    assert waits(handled=20, every=_QUIET_SECONDS / 2) >= 19 * _QUIET_SECONDS / 2 + _QUIET_SECONDS
    assert waits(handled=10_000, every=_QUIET_SECONDS / 2) <= _LONGEST_HOLD + _QUIET_SECONDS, "it never becomes quiet"


@pytest.mark.parametrize("query", [{"limit": "500"}, {"watch": "true"}], ids=["first-page", "watch"])
def test_nothing_else_waits(query: Mapping[str, str]) -> None:
    assert seconds_before_the_next_page(handled=100, every=0.01, query=query) == 0.0
