"""Where kopf ends and the operator begins; the only module that imports kopf.

kopf is very good at watching: lists, streams, reconnects, bookmarks, expired versions, CRDs that come and go. It is
used for nothing else, because its handlers are no safe place for a create that costs money. One `on.event` handler
gives each body away and returns nothing; everything else happens behind our own store and queue.

kopf runs in a thread and an event loop of its own. In a shared loop it would take the signal handlers away, and cancel
five seconds after its stop every task that began after its start.

Invariants:

* kopf writes nothing: no handler that could need a finalizer, no handler result, no progress, no diff base, no events;
* whatever is written into kopf's annotations of an object, its events arrive;
* when kopf ends by itself, `failed` says so, and the process must end: nobody is watching any more;
* a kind that kopf overlooked is noticed, and kopf started anew. It looks for kinds once at its start and at each event
  of a CRD, and believes what it finds; but an API server lists a new kind among its groups some time after the CRD's
  last event, and one of several servers may lag behind the others. What was overlooked then would never be watched.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import aiohttp
import kopf
from kopf._cogs.structs.references import Insights  # what kopf watches; it has no public name

from dispersed_operator.errors import KubernetesServerError, OperatorError, StateLost
from dispersed_operator.kube.credentials import Credentials, watch_session
from dispersed_operator.kube.resources import RESOURCES
from dispersed_operator.model.keys import NAMESPACED_KINDS, Kind
from dispersed_operator.model.naming import KOPF_FINALIZER

Sink = Callable[[str | None, dict[str, Any]], None]
"""Gets the event type (ADDED, MODIFIED, DELETED; None for an object of kopf's listing) and the body, to read only."""

STOP_DEADLINE = 10.0
_CLOSING_SECONDS = 0.1
_LOGIN_CALM = 60.0  # seconds after which a login is no longer one in a row of failures
_LOGIN_LONGEST_DELAY = 30.0
_PULSE = 0.2  # seconds between two looks at what kopf watches
_FIRST_PATIENCE = 5.0  # seconds that kopf may leave a kind unwatched before it is started anew; doubled each time
_LONGEST_PATIENCE = 300.0
_QUIET_SECONDS = 0.15  # kopf lets an object lie for 0.1 s before it is handled, for a newer version of it may follow
_LONGEST_HOLD = 10.0  # well below the time-out of a request

_log = logging.getLogger(__name__)


class Edge:
    """Watches `kinds` in all namespaces, or in those given, and calls `sink` in the event loop of `start`.

    `random` tells a number in [0, 1). With `namespaces` the CRDs must exist before `start` (wait for the barrier of
    `Resync`): without rights on cluster-wide objects kopf cannot see them come.
    """

    def __init__(
        self,
        credentials: Credentials,
        sink: Sink,
        *,
        kinds: Iterable[Kind] = NAMESPACED_KINDS,
        namespaces: Collection[str] | None = None,
        random: Callable[[], float],
    ) -> None:
        self._credentials = credentials
        self._sink = sink
        self._kinds = tuple(kinds)
        self._namespaces = None if namespaces is None else tuple(namespaces)
        self._random = random
        self._stop_flag = threading.Event()
        self._unwatched: frozenset[Kind] | None = None
        self._sessions: list[aiohttp.ClientSession] = []
        self._logins = _LoginPace()
        self._pages = _PagePace()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._asked_to_stop = False
        self._ended: asyncio.Event
        self.failed: asyncio.Future[None]
        """There from `start` on. Gets an `OperatorError` when the process must end, a result after an orderly stop."""

    def start(self) -> None:
        """Start watching. To be called once, inside the event loop that is to get the events."""
        self._loop = asyncio.get_running_loop()
        self.failed = self._loop.create_future()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._thread.start()

    @property
    def unwatched(self) -> frozenset[Kind] | None:
        """The kinds that kopf knows no way to watch, as when their CRD is missing; None before it has looked."""
        return self._unwatched

    @property
    def ready(self) -> bool:
        """Whether every kind is watched; that the first listing is complete is only known from `Resync.barrier`."""
        return self._unwatched == frozenset() and not self._stop_flag.is_set()

    async def stop(self) -> None:
        """Stop watching; no event arrives afterwards. Harmless when it has ended already or was never started."""
        if self._thread is None:
            return
        self._asked_to_stop = True
        self._stop_flag.set()
        try:
            async with asyncio.timeout(STOP_DEADLINE):
                await self._ended.wait()
        except TimeoutError:
            _log.error("kopf did not stop within %g s; its thread is left behind", STOP_DEADLINE)
        if not self.failed.done():
            self.failed.set_result(None)
        if not self.failed.cancelled():  # as it is when a task that awaited it directly was cancelled
            self.failed.exception()  # seen, by whoever stops after a failure

    # In our loop.

    def _deliver(self, event_type: str | None, body: dict[str, Any]) -> None:
        try:
            self._sink(event_type, body)
        except StateLost as error:
            self._fail(error)

    def _end(self, cause: str) -> None:
        """kopf has ended; this comes after its last event."""
        if not self._asked_to_stop:
            self._fail(KubernetesServerError(f"the watch has ended: {cause}"))
        self._ended.set()

    def _fail(self, error: OperatorError) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    # In kopf's thread.

    def _run(self) -> None:
        cause = "no reason given"
        try:
            asyncio.run(self._watch())
        except BaseException as error:  # noqa: BLE001 - the bottom of a thread: whatever ends it must be told
            cause = _names_of(error)
        self._in_our_loop(self._end, cause)

    async def _watch(self) -> None:
        patience = _FIRST_PATIENCE
        try:
            while not self._stop_flag.is_set():
                await self._watch_until_deaf(patience)
                patience = min(_LONGEST_PATIENCE, 2.0 * patience)
        finally:
            self._stop_flag.set()
            for session in self._sessions:
                await session.close()
            # Closed TLS connections need some turns of the loop until their sockets are closed, too.
            await asyncio.sleep(_CLOSING_SECONDS)

    async def _watch_until_deaf(self, patience: float) -> None:
        """Run kopf until it is to stop, or until it has left a kind unwatched for `patience` seconds."""
        insights, end = Insights(), asyncio.Event()
        watch = asyncio.create_task(self._end_when_deaf(insights, patience, end))
        try:
            await kopf.operator(
                registry=self._registry(),
                settings=_settings(self._random, scanning=self._namespaces is None),
                insights=insights,
                clusterwide=self._namespaces is None,
                namespaces=self._namespaces or (),
                stop_flag=end,
            )
        finally:
            watch.cancel()
        if not end.is_set():
            raise KubernetesServerError("kopf returned unasked")

    async def _end_when_deaf(self, insights: Insights, patience: float, end: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        all_heard_at = loop.time()
        while not self._stop_flag.is_set():
            await asyncio.sleep(_PULSE)
            if not insights.ready_resources.is_set():
                all_heard_at = loop.time()  # kopf has not looked yet: it waits for the API server
                continue
            self._unwatched = self._kinds_missing_from(insights)
            if not self._unwatched:
                all_heard_at = loop.time()
            elif loop.time() - all_heard_at > patience:
                _log.warning("not watched, starting the watch anew: %s", ", ".join(sorted(self._unwatched)))
                break
        end.set()

    def _kinds_missing_from(self, insights: Insights) -> frozenset[Kind]:
        watched = {(known.group, known.version, known.plural) for known in insights.watched_resources}
        return frozenset(
            kind
            for kind in self._kinds
            if (RESOURCES[kind].group, RESOURCES[kind].version, RESOURCES[kind].plural) not in watched
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, errors=kopf.ErrorsMode.TEMPORARY, backoff=2.0)(self._login)
        for kind in self._kinds:
            resource = RESOURCES[kind]
            kopf.on.event(
                group=resource.group, version=resource.version, plural=resource.plural, id=str(kind), registry=registry
            )(self._handle)
        return registry

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        """A session that puts the token of the moment on each request. Called again only after a 401."""
        await asyncio.sleep(self._logins.delay(asyncio.get_running_loop().time()))
        configuration = await self._credentials.configuration()
        session = watch_session(configuration, before=self._pages.wait)
        self._sessions = [known for known in self._sessions if not known.closed] + [session]
        return kopf.AiohttpSession(server=configuration.host, aiohttp_session=session)

    async def _handle(self, event: kopf.RawEvent, **_: Any) -> None:
        """Give the body away as it was parsed: kopf keeps it only to read it, and so do we."""
        self._pages.handled()
        body: Any = event["object"]
        self._in_our_loop(self._deliver, event["type"], body)

    def _in_our_loop(self, callback: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)


class _LoginPace:
    """How long to wait before the next login: kopf asks at once after each 401, as often as it gets one."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._row = 0

    def delay(self, now: float) -> float:
        """Seconds to wait; 0.0 for the first login, and for one that comes long after the last."""
        calm = self._last is None or now - self._last > _LOGIN_CALM
        self._row = 0 if calm else self._row + 1
        self._last = now
        return 0.0 if calm else min(_LOGIN_LONGEST_DELAY, 0.5 * 2.0 ** min(self._row, 10))


class _PagePace:
    """Holds the next page of a list back until the objects of the page before it were handled.

    kopf's queues have no bound, and it reads pages faster than it works: of ten thousand objects nearly all would lie
    there unpacked, half as much again as the whole process needs. To be used in kopf's loop.
    """

    def __init__(self) -> None:
        self._handled_at = float("-inf")

    def handled(self) -> None:
        """An object was handled."""
        self._handled_at = asyncio.get_running_loop().time()

    async def wait(self, query: Mapping[str, str]) -> None:
        """Until nothing was handled for a moment, and not for long: what comes in by the watches of other kinds counts
        as well."""
        if "continue" not in query:
            return
        begun = now = asyncio.get_running_loop().time()
        while now - max(begun, self._handled_at) < _QUIET_SECONDS and now - begun < _LONGEST_HOLD:
            await asyncio.sleep(_QUIET_SECONDS / 3)
            now = asyncio.get_running_loop().time()


class _EndlessBackOffs:
    """Back-offs of kopf's requests, in seconds, without end: after the last one kopf gives up and ends."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random

    def __iter__(self) -> Iterator[float]:
        yield from (0.5, 1.0, 2.0)
        while True:
            yield 2.0 + 2.0 * self._random()


class _NoDiffBase(kopf.DiffBaseStorage):
    """Remembers nothing and reads nothing: with kopf's own storage a garbled annotation hides an object from us."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


def _settings(random: Callable[[], float], *, scanning: bool) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.process.ultimate_exiting_timeout = None
    settings.posting.enabled = False
    settings.peering.standalone = True
    # Without scanning a CRD that is missing at the start leaves a blind process. With it, kopf needs rights on
    # cluster-wide objects, and with endless back-offs it would wait for them for ever.
    settings.scanning.disabled = not scanning
    settings.watching.server_timeout = 240 + int(random() * 240)  # an int: a float is answered with 400
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30.0
    settings.networking.enforce_retry_after = True
    settings.networking.error_backoffs = _EndlessBackOffs(random)
    settings.queueing.idle_timeout = 0.1  # so long kopf keeps a body that it has handled: at start, all of them
    settings.persistence.finalizer = KOPF_FINALIZER
    settings.persistence.diffbase_storage = _NoDiffBase()
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # warns that signals are left to us
    return settings


def _names_of(error: BaseException | None) -> str:
    """The types of an error and its causes, without their words: those may come from the API server."""
    names: list[str] = []
    while error is not None:
        names.append(type(error).__name__)
        error = error.__cause__
    return " from ".join(names)
