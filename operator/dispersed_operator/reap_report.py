"""What `dispersed-operator reap` prints: a table for a person, or JSON for a program.

Invariant: a title's words come from a user and are printed without control characters; times are the service's.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from dispersed_operator.model.observed import rfc3339
from dispersed_operator.planning.cost import cost_text, rate_text
from dispersed_operator.planning.reap import Verdict, duration_text
from dispersed_operator.printing import aligned
from dispersed_operator.reaper import Entry, Survey

_HEADER = ("UUID", "CLUSTER", "TITLE", "STATUS", "AGE", "EXPIRES", "USD/H", "USD", "REAP", "BECAUSE")


def table(survey: Survey, *, applied: bool) -> str:
    """The survey for a person: a row per job, then what it comes to."""
    rows = [_row(entry, survey.now) for entry in survey.entries]
    lines = [aligned(_HEADER, rows)] if rows else []
    lines += [f"note: {note}\n" for note in survey.notes]
    counted = f"{len(survey.entries)} live jobs carry a title of ours"
    lines.append(f"{counted}; {survey.strangers} other live jobs are not touched.\n")
    return "".join([*lines, _summary(survey, applied=applied)])


def document(survey: Survey, *, applied: bool) -> str:
    """The survey for a program: one JSON object."""
    body = {
        "serverTime": rfc3339(survey.now),
        "applied": applied,
        "jobs": [_object(entry, survey.now) for entry in survey.entries],
        "otherLiveJobs": survey.strangers,
        "notes": list(survey.notes),
    }
    return json.dumps(body, indent=2) + "\n"


def _summary(survey: Survey, *, applied: bool) -> str:
    chosen = survey.chosen
    if not chosen:
        return "Nothing to reap.\n"
    if not applied:
        return f"{len(chosen)} would be cancelled. Nothing was done; add --yes to do it.\n"
    failed = sum(entry.failed for entry in chosen)
    done = f"{len(chosen) - failed} of {len(chosen)} are settled"
    return f"{done}; {failed} are not: see BECAUSE.\n" if failed else f"{done}.\n"


def _row(entry: Entry, now: int) -> tuple[str, ...]:
    row, title = entry.judged.row, entry.judged.title
    return (
        row.uuid,
        title.cluster if title is not None else "",
        title.user_title if title is not None else "",
        row.status,
        duration_text(age) if (age := _age(entry, now)) is not None else "?",
        rfc3339(title.expiry) if title is not None and title.expiry else "never",
        _money(entry.hourly_rate, "rate"),
        _money(entry.cost, "cost"),
        entry.outcome.value if entry.outcome is not None else _plainly(entry),
        entry.words or entry.judged.because,
    )


def _object(entry: Entry, now: int) -> dict[str, Any]:
    row, title = entry.judged.row, entry.judged.title
    body = {
        "uuid": row.uuid,
        "title": row.title,
        "cluster": title.cluster if title is not None else None,
        "attempt": title.attempt if title is not None else None,
        "status": row.status,
        "ageSeconds": _age(entry, now),
        "expiry": rfc3339(title.expiry) if title is not None and title.expiry else None,
        "hourlyRateUSD": rate_text(entry.hourly_rate) if entry.hourly_rate is not None else None,
        "costUSD": cost_text(entry.cost) if entry.cost is not None else None,
        "reap": entry.judged.verdict is Verdict.CANCEL,
        "because": entry.judged.because,
    }
    if entry.outcome is not None:
        body |= {"outcome": entry.outcome.value, "outcomeMessage": entry.words}
    return body


def _plainly(entry: Entry) -> str:
    return "yes" if entry.judged.verdict is Verdict.CANCEL else "no"


def _age(entry: Entry, now: int) -> int | None:
    """Seconds since the creation that the service states, else since the signature in the title."""
    row, title = entry.judged.row, entry.judged.title
    if row.created_at is not None and not row.created_at_is_date:
        return max(0, now - int(row.created_at.timestamp()))
    return max(0, now - title.signed_at) if title is not None else None


def _money(amount: Decimal | None, kind: str) -> str:
    if amount is None:
        return "?"
    return rate_text(amount) if kind == "rate" else cost_text(amount)
