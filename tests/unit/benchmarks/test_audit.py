"""The audit log, read while it grows."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from benchmarks.audit import AuditTail, Request, first_write, parse_lines, writes

ME = "system:serviceaccount:x:me"


def line(name: str, *, verb: str = "patch", subresource: str | None = None, code: int = 200, user: str = ME,
         stage: str = "ResponseComplete", second: int = 1) -> str:  # fmt: skip
    asked = {"resource": "dispersedjobs", "name": name} | ({"subresource": subresource} if subresource else {})
    event = {
        "stage": stage, "verb": verb, "user": {"username": user}, "objectRef": asked, "responseStatus": {"code": code},
        "stageTimestamp": f"2026-01-01T00:00:0{second}.500000Z",
    }  # fmt: skip
    return json.dumps(event)


def parsed(*lines: str) -> list[Request]:
    return list(parse_lines(lines))


def test_each_line_is_read_once_and_half_a_line_when_it_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    with closing(AuditTail(log)) as tail:
        read_while_it_grows(log, tail)


def read_while_it_grows(log: Path, tail: AuditTail) -> None:
    assert tail.read() == []
    text = line("a") + "\n" + line("b")
    log.write_text(text[:-5])
    assert [request.name for request in tail.read()] == ["a"]
    with log.open("a") as more:
        more.write(text[-5:] + "\n")
    assert [request.name for request in tail.read()] == ["b"]
    assert tail.read() == []


def test_a_rotated_log_is_read_to_its_end_and_then_its_successor(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text(line("a") + "\n")
    with closing(AuditTail(log)) as tail:
        assert len(tail.read()) == 1
        with log.open("a") as more:
            more.write(line("b") + "\n")
        log.rename(tmp_path / "audit-old.jsonl")
        log.write_text(line("c") + "\n")
        assert [request.name for request in tail.read()] == ["b", "c"]


def test_a_request_counts_when_it_is_answered_and_a_watch_when_it_begins() -> None:
    found = parsed(
        line("a", stage="ResponseStarted"), line("b"), line("", verb="watch", stage="ResponseStarted"),
        json.dumps({"stage": "ResponseComplete", "verb": "get", "user": {"username": ME}}),
    )  # fmt: skip
    assert [(request.name, request.verb) for request in found] == [("b", "patch"), ("", "watch")]


def test_reads_refusals_and_other_peoples_writes_are_no_writes() -> None:
    found = parsed(
        line("a", verb="get"), line("b", code=409), line("c", user="somebody"), line("d", subresource="status")
    )
    assert [request.resource for request in writes(found, user=ME)] == ["dispersedjobs/status"]


def test_the_first_write_after_a_moment_is_the_one_that_tells_of_it() -> None:
    found = parsed(line("a", second=1), line("a", second=3), line("a", second=4), line("b", second=5))
    after = {"a": found[0].at + 1, "b": found[3].at + 1}
    assert first_write(found, after) == {"a": found[1].at}
