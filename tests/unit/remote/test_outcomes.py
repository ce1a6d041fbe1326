"""The outcome of a create, as a table (protocol C4): refused only when no job can exist, else unknown."""

import json

import pytest

from dispersed_operator.errors import MalformedAnswer, NotSent, RemoteError, TransportFailed, UnsignableRequest
from dispersed_operator.remote.outcomes import (
    Accepted,
    RefusalKind,
    Refused,
    Unknown,
    classify_create,
    classify_failure,
)
from dispersed_operator.remote.scrub import Scrubber

ERROR = json.dumps({"error": {"code": "BAD", "message": "no"}}).encode()
PLAIN = json.dumps({"message": "no"}).encode()
HTML = b"<html>Bad Gateway</html>"
UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

CASES: list[tuple[int, bytes, frozenset[str], type | RefusalKind, str]] = [
    (200, json.dumps({"uuid": UUID, "status": "PENDING"}).encode(), frozenset(), Accepted, "the plain case"),
    (
        201,
        json.dumps({"data": {"uuid": UUID}}).encode(),
        frozenset(),
        Accepted,
        "wrapped, without a status: the uuid says it",
    ),
    (
        202,
        json.dumps({"uuid": UUID, "title": 5}).encode(),
        frozenset({"BAD"}),
        Accepted,
        "any 2xx; decoration may be odd",
    ),
    (200, b"", frozenset(), Unknown, "2xx without a body: the job exists, we do not know which"),
    (200, b"{}", frozenset(), Unknown, "2xx without a uuid"),
    (201, json.dumps({"uuid": None}).encode(), frozenset(), Unknown, "the uuid is typed nullable"),
    (201, json.dumps({"uuid": "../x"}).encode(), frozenset(), Unknown, "a uuid that could never be asked for"),
    (201, json.dumps([{"uuid": UUID}]).encode(), frozenset(), Unknown, "an array is no job"),
    (200, HTML, frozenset(), Unknown, "a portal's page with 200"),
    (200, b'{"uuid": "3fa8', frozenset(), Unknown, "cut short"),
    (400, ERROR, frozenset(), RefusalKind.VALIDATION, "a JSON error body"),
    (400, PLAIN, frozenset(), RefusalKind.VALIDATION, "another envelope"),
    (422, b'{"detail": [{"msg": "title too long"}]}', frozenset(), RefusalKind.VALIDATION, "yet another"),
    (413, b'{"error": "too large"}', frozenset(), RefusalKind.VALIDATION, "error as text"),
    (402, ERROR, frozenset(), RefusalKind.FUNDS, "no money, so no job"),
    (403, ERROR, frozenset(), RefusalKind.PERMISSION, "a right is missing"),
    (404, ERROR, frozenset(), RefusalKind.NOT_FOUND, "for example an unknown GPU"),
    (400, HTML, frozenset(), Unknown, "a proxy's page may stand before a committed request"),
    (403, b"", frozenset(), Unknown, "a firewall without words"),
    (404, b'"nope"', frozenset(), Unknown, "JSON, but no error body"),
    (400, b"{}", frozenset(), Unknown, "an empty object says nothing"),
    (400, ERROR, frozenset({"BAD"}), Unknown, "the account's replay code: the first copy may have been accepted"),
    (403, PLAIN, frozenset({"HTTP 403"}), Unknown, "replays are refused with a bare 403 on this account"),
    (403, ERROR, frozenset({"HTTP 403"}), RefusalKind.PERMISSION, "a code of its own is not the bare replay refusal"),
    (400, PLAIN, frozenset({"HTTP 403"}), RefusalKind.VALIDATION, "another status than the replay refusal"),
    (401, ERROR, frozenset(), Unknown, "a proxy's replay of a committed request is answered so"),
    (409, ERROR, frozenset(), Unknown, "conflict with what?"),
    (429, ERROR, frozenset(), Unknown, "may come from a proxy after the commit"),
    (408, ERROR, frozenset(), Unknown, "the request may have been read in full"),
    (302, b"", frozenset(), Unknown, "a redirect"),
    (500, ERROR, frozenset(), Unknown, "may come after the commit"),
    (502, HTML, frozenset(), Unknown, "the same"),
    (503, ERROR, frozenset(), Unknown, "the same"),
    (504, HTML, frozenset(), Unknown, "the same"),
]


@pytest.mark.parametrize(("status", "body", "replay_codes", "expected", "reason"), CASES)
def test_an_answer_means(
    status: int, body: bytes, replay_codes: frozenset[str], expected: type | RefusalKind, reason: str
) -> None:
    outcome = classify_create(status, body, replay_codes=replay_codes)
    if isinstance(expected, RefusalKind):
        assert isinstance(outcome, Refused), reason
        assert outcome.kind is expected, reason
    else:
        assert type(outcome) is expected, reason
    if isinstance(outcome, Accepted):
        assert outcome.uuid == outcome.job.uuid == UUID
    if isinstance(outcome, Unknown):
        assert outcome.status == status


@pytest.mark.parametrize("status", [s for s in range(100, 600) if s not in {400, 402, 403, 404, 413, 422}])
def test_no_other_status_is_ever_a_refusal(status: int) -> None:
    assert isinstance(classify_create(status, ERROR), Unknown)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotSent("refused"), Refused),
        (UnsignableRequest("$.title"), Refused),
        (TransportFailed("reset"), Unknown),
        (MalformedAnswer("broken gzip"), Unknown),
        (RemoteError("anything else"), Unknown),
    ],
)
def test_without_an_answer_only_a_request_that_never_left_is_refused(error: RemoteError, kind: type) -> None:
    outcome = classify_failure(error)
    assert type(outcome) is kind
    if isinstance(outcome, Refused):
        assert outcome.kind is RefusalKind.NOT_SENT


def test_a_message_holds_no_value_that_was_sent() -> None:
    body = json.dumps({"error": {"code": "BAD", "message": "env.KEY has value hunter2hunter2 " + "x" * 999}}).encode()
    for status in (400, 500):
        outcome = classify_create(status, body, scrubber=Scrubber(["hunter2hunter2"]))
        assert isinstance(outcome, Refused | Unknown)
        assert "hunter2" not in outcome.message
        assert len(outcome.message) < 330
        assert "BAD" in outcome.message
