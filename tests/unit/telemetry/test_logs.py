"""Logs: one cleaned JSON object per line, whatever road a secret takes into the record."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dispersed_operator.config import LogFormat, LogLevel
from dispersed_operator.model.keys import Kind, ResourceKey
from dispersed_operator.model.redaction import MASK, Redactor
from dispersed_operator.telemetry.logs import QUIET_LOGGERS, about, configure_logs

SECRET = 'marked "secret" value'
KEY = ResourceKey(Kind.JOB, "team-a", "train")
logger = logging.getLogger("dispersed_operator.tests.logs")


class Opaque:
    """An object that gives its secret away when it is printed."""

    def __repr__(self) -> str:
        return f"Opaque({SECRET})"


@contextmanager
def logs(log_format: LogFormat = LogFormat.JSON, level: LogLevel = LogLevel.INFO) -> Iterator[io.StringIO]:
    """All logs of the process, as they would be written."""
    stream = io.StringIO()
    restore = configure_logs(level=level, log_format=log_format, redactor=Redactor([SECRET]), stream=stream)
    try:
        yield stream
    finally:
        restore()


def parsed(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail_with_secret() -> None:
    try:
        empty: dict[str, str] = {}
        _ = empty[SECRET]
    except KeyError as cause:
        raise ValueError(f"wrapped {SECRET}") from cause


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_no_road_into_a_record_carries_a_secret_out(log_format: LogFormat) -> None:
    with logs(log_format, LogLevel.DEBUG) as stream:
        logger.info(f"in the text {SECRET}")
        logger.info("as an argument %s", SECRET)
        logger.info("as an object %s", Opaque())
        logger.info("in a field", extra={"fields": {"value": SECRET, SECRET: {"deep": [SECRET, Opaque()]}}})
        logger.info({"message is a mapping": SECRET})
        logger.info("in the resource", extra={"resource": {"name": SECRET}})
        logger.warning("stack", stack_info=True, extra={"fields": {"value": SECRET}})
        try:
            fail_with_secret()
        except ValueError:
            logger.exception("in an exception and its cause")
        with about(ResourceKey(Kind.JOB, "team-a", SECRET)):
            logger.info("in the context")
        text = stream.getvalue()
        assert text.count(MASK) >= 9
        for spelled in (SECRET, json.dumps(SECRET)[1:-1], repr(SECRET)[1:-1]):
            assert spelled not in text


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_unregistered_credentials_are_masked_by_their_shape(log_format: LogFormat) -> None:
    with logs(log_format, LogLevel.DEBUG) as stream:
        logger.info(
            "request headers: %s",
            {"X-API-Key": "pk_1", "X-Signature": "0123456789abcdef", "Authorization": "Bearer t0k"},
        )
        assert "0123456789abcdef" not in stream.getvalue()
        assert "t0k" not in stream.getvalue()


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_what_a_job_was_given_is_hidden_in_foreign_words_only(log_format: LogFormat) -> None:
    redactor, stream = Redactor(), io.StringIO()
    redactor.register("reconcile", holder="job-a", group="account-1")
    restore = configure_logs(level=LogLevel.INFO, log_format=log_format, redactor=redactor, stream=stream)
    try:
        logger.info("reconcile is a word of ours")
        logging.getLogger("somebody.else").warning("reconcile is quoted")
        try:
            _ = dict[str, str]()["reconcile"]
        except KeyError:
            logger.exception("reconcile failed")
    finally:
        restore()
    text = stream.getvalue()
    assert "reconcile is a word of ours" in text
    assert "reconcile failed" in text
    assert f"{MASK} is quoted" in text
    assert f"KeyError: '{MASK}'" in text


def test_a_line_says_when_how_bad_who_and_what() -> None:
    with logs() as lines:
        logger.warning("the %s", "message")
        (line,) = parsed(lines)
        assert list(line) == ["ts", "level", "logger", "msg"]
        assert line["level"] == "warning"
        assert line["logger"] == "dispersed_operator.tests.logs"
        assert line["msg"] == "the message"
        assert str(line["ts"]).endswith("+00:00")


def test_a_line_about_a_resource_names_it_and_keeps_the_fields() -> None:
    with logs() as lines:
        with about(KEY):
            logger.info("created", extra={"fields": {"attempt": 2, "name": "not the resource"}})
        (line,) = parsed(lines)
        assert (line["kind"], line["namespace"], line["name"]) == ("DispersedJob", "team-a", "train")
        assert line["attempt"] == 2


def test_the_context_names_the_resource_for_lines_of_anybody_and_ends_with_its_block() -> None:
    with logs() as lines:
        with about(KEY):
            logging.getLogger("somebody.else").info("inside")
        logger.info("outside")
        inside, outside = parsed(lines)
        assert (inside["namespace"], inside["name"]) == ("team-a", "train")
        assert "name" not in outside


def test_text_lines_name_the_resource_for_people() -> None:
    stream = io.StringIO()
    restore = configure_logs(level=LogLevel.INFO, log_format=LogFormat.TEXT, redactor=Redactor(), stream=stream)
    with about(KEY):
        logger.info("created", extra={"fields": {"attempt": 2}})
    restore()
    assert stream.getvalue().rstrip().endswith("created [DispersedJob/team-a/train] attempt=2")


def test_extras_of_foreign_libraries_are_dropped() -> None:
    with logs() as lines:
        logging.getLogger("aiohttp").warning("seen", extra={"body": {"env": "x"}, "settings": object()})
        assert list(parsed(lines)[0]) == ["ts", "level", "logger", "msg"]


@pytest.mark.parametrize("name", QUIET_LOGGERS)
@pytest.mark.parametrize("log_format", list(LogFormat))
def test_chatty_libraries_are_heard_at_warning_only(name: str, log_format: LogFormat) -> None:
    with logs(log_format, LogLevel.DEBUG) as stream:
        logging.getLogger(name).info("chatter")
        assert stream.getvalue() == ""
        logging.getLogger(name).warning("trouble")
        assert "trouble" in stream.getvalue()


def test_a_broken_format_string_names_its_place_and_not_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with logs() as lines:
        logger.info("a number: %d", SECRET)
        complaint = capsys.readouterr().err
        assert lines.getvalue() == ""
        assert "test_logs.py" in complaint
        assert SECRET not in complaint


def test_the_last_words_of_a_dying_process_are_cleaned() -> None:
    with logs() as lines:
        try:
            fail_with_secret()
        except ValueError as error:
            sys.excepthook(type(error), error, error.__traceback__)
        (line,) = parsed(lines)
        assert line["level"] == "critical"
        assert "ValueError" in str(line["exc_info"])
        assert SECRET not in lines.getvalue()


def test_the_last_words_of_a_dying_thread_are_cleaned() -> None:
    with logs() as lines:
        thread = threading.Thread(target=fail_with_secret, name="doomed")
        thread.start()
        thread.join()
        (line,) = parsed(lines)
        assert line["thread"] == "doomed"
        assert SECRET not in lines.getvalue()


def test_what_was_configured_can_be_put_back() -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.getLogger("kopf").level, sys.excepthook, threading.excepthook)
    configure_logs(level=LogLevel.ERROR, log_format=LogFormat.JSON, redactor=Redactor(), stream=io.StringIO())()
    after = (root.handlers[:], root.level, logging.getLogger("kopf").level, sys.excepthook, threading.excepthook)
    assert after == before
