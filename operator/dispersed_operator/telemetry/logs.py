"""Structured logs: one JSON object per line, with the resource it is about, and without secrets.

Every line leaves through one handler whose formatter cleans each field *after* arguments, exception text and stack have
been put in, so a secret cannot slip past as an argument, in a traceback or inside a structured field. Fields of foreign
libraries (`extra=` of anything but this module) are dropped: they may hold whole objects, env values included.
Tracebacks, and lines of foreign libraries, are text from outside (`model/redaction.py`): what jobs were given is hidden
in them too. In the operator's own lines it is not looked for, so that no tenant can blank them.

Invariant: no line of this process, the last words of a dying one and the complaint about a broken format string
included, shows a value that the redactor knows.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from dispersed_operator.config import LogFormat, LogLevel
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.redaction import Redactor

QUIET_LOGGERS = ("kopf", "kopf.objects", "aiohttp", "httpx", "httpcore", "kubernetes", "asyncio", "urllib3")
"""Libraries that are heard at WARNING and above only."""

_OURS = "dispersed_operator"
_TRACES = frozenset({"exc_info", "stack_info"})

_logger = logging.getLogger(__name__)
_resource: ContextVar[Mapping[str, str] | None] = ContextVar("dispersed_operator_log_resource", default=None)


@contextmanager
def about(key: ResourceKey) -> Iterator[None]:
    """Every line logged inside, by anybody in this task, carries kind, namespace and name of the resource."""
    before = _resource.get()
    _resource.set({"kind": str(key.kind), "namespace": key.namespace, "name": key.name})
    try:
        yield
    finally:
        _resource.set(before)  # not by a token: a task that never went on may be collected in another context


def configure_logs(
    *, level: LogLevel, log_format: LogFormat, redactor: Redactor, stream: TextIO | None = None
) -> Callable[[], None]:
    """Send all logs of the process to one cleaned stream (standard error by default).

    Uncaught exceptions of the main thread and of other threads go the same way. Returns a function that puts
    everything back as it was.
    """
    root = logging.getLogger()
    formatter = JsonLines(redactor) if log_format is LogFormat.JSON else TextLines(redactor)
    handler = CleanHandler(stream if stream is not None else sys.stderr, redactor)
    handler.setFormatter(formatter)
    before = (root.handlers[:], root.level, {name: logging.getLogger(name).level for name in QUIET_LOGGERS})
    hooks = (sys.excepthook, threading.excepthook)

    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread

    def restore() -> None:
        handlers, root_level, levels = before
        root.handlers[:] = handlers
        root.setLevel(root_level)
        for name, quiet_level in levels.items():
            logging.getLogger(name).setLevel(quiet_level)
        sys.excepthook, threading.excepthook = hooks

    return restore


class CleanHandler(logging.StreamHandler[TextIO]):
    """A stream handler whose complaint about a record that cannot be formatted names only where it came from."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        super().__init__(stream)
        self._redactor = redactor

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """The standard library prints the raw arguments here."""
        error = sys.exc_info()[0]
        line = f"log record of {record.name} ({record.pathname}:{record.lineno}) could not be written: {error}\n"
        sys.stderr.write(self._redactor.clean(line))


class JsonLines(JsonFormatter):
    """`ts, level, logger, msg`, then the resource, then the caller's `fields`, then `exc_info` and `stack_info`."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(json_ensure_ascii=False)
        self._redactor = redactor

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data["ts"] = datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds")
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        log_data["msg"] = record.message
        for key, value in {**_given_fields(record), **message_dict}.items():
            log_data.setdefault(str(key), value)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        own = _is_ours(str(log_data["logger"]))
        cleaned = {}
        for key, value in log_data.items():
            clean = self._redactor.clean if own and key not in _TRACES else self._redactor.clean_outside
            cleaned[clean(key)] = _cleaned(value, clean)
        return cleaned


class TextLines(logging.Formatter):
    """The same for people: `time LEVEL logger [kind/namespace/name] message`."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s")
        self._redactor = redactor

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        fields = _given_fields(record)
        about = "/".join(str(fields.pop(part)) for part in ("kind", "namespace", "name") if part in fields)
        rest = " ".join(f"{key}={value}" for key, value in fields.items())
        line = super().formatMessage(record)
        return f"{line}{f' [{about}]' if about else ''}{f' {rest}' if rest else ''}"

    def format(self, record: logging.LogRecord) -> str:
        clean = self._redactor.clean if _is_ours(record.name) else self._redactor.clean_outside
        return clean(super().format(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        return self._redactor.clean_outside(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - the name is logging's
        return self._redactor.clean_outside(super().formatStack(stack_info))


def _is_ours(logger: str) -> bool:
    return logger.partition(".")[0] == _OURS


def _given_fields(record: logging.LogRecord) -> dict[str, object]:
    resource = _resource.get() or {}
    fields = getattr(record, "fields", None) or {}
    return {**resource, **{key: value for key, value in fields.items() if key not in resource}}


def _cleaned(value: object, clean: Callable[[str], str]) -> object:
    """The value as JSON can hold it, with every text in it cleaned; other objects become cleaned text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(member, clean) for key, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(member, clean) for member in value]
    return clean(str(value))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _logger.critical("The process ends because of an uncaught exception.", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(event: threading.ExceptHookArgs) -> None:
    if event.exc_value is None or issubclass(event.exc_type, SystemExit):
        return
    _logger.critical(
        "A thread ended because of an uncaught exception.",
        exc_info=(event.exc_type, event.exc_value, event.exc_traceback),
        extra={"fields": {"thread": event.thread.name if event.thread is not None else ""}},
    )
