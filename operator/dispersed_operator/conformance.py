"""Checking an account: what the operator relies on, found out by reading only (protocol, "checked per account").

Why it exists: the same checks serve the operator, which makes a condition of them on the first use of an account, and a
person with a key who asks any base URL before anything is installed. Invariant: no request of a check is anything but a
GET, so none can create, change or cost anything.
"""

from __future__ import annotations

import json

from dispersed_operator.config import Settings
from dispersed_operator.direct import KeyAtHand, open_client
from dispersed_operator.errors import MalformedAnswer, OperatorError, PermissionRefused, RemoteError, RequestRejected
from dispersed_operator.planning.conformance import (
    Check,
    Finding,
    Result,
    SeenPages,
    clock_finding,
    echo_findings,
    listing_findings,
    passed,
    probe_findings,
    readable_finding,
    refused_listing,
    writes_finding,
)
from dispersed_operator.printing import aligned, print_out
from dispersed_operator.remote.client import DispersedClient

CONFORMS, DEVIATES = 0, 1


async def examine(client: DispersedClient) -> tuple[Finding, ...]:
    """Rights and lists of an account, and the echo of a job of ours if one is listed. Raises RemoteError if the service
    gave no verdict."""
    try:
        listed = await client.list_pages()
    except PermissionRefused as error:
        return readable_finding(Check.JOBS, str(error)), await _runs_finding(client), writes_finding()
    except RequestRejected as error:
        return await _runs_finding(client), writes_finding(), *refused_listing(str(error))
    pages = SeenPages(
        rows=listed.rows,
        more_rows=listed.more_rows,
        asked=listed.asked,
        reported_limit=listed.reported_limit,
        total=listed.total,
    )
    return (
        passed(Check.JOBS, "the key may read them"),
        await _runs_finding(client),
        writes_finding(),
        *listing_findings(pages),
        *echo_findings((*pages.rows, *pages.more_rows)),
    )


async def examine_everything(client: DispersedClient, *, max_offset: float) -> tuple[Finding, ...]:
    """All checks in the order of the report. `max_offset`: seconds by which the clocks may differ."""
    probing: tuple[Finding, ...]
    try:
        probes = await client.probe()
        probing = probe_findings(replay_refused=probes.replay_refused, window_seconds=probes.window_seconds)
    except PermissionRefused as error:
        return readable_finding(Check.JOBS, str(error)), await _runs_finding(client), writes_finding()
    except MalformedAnswer as error:
        probing = (_no_verdict(str(error)),)
    clock = clock_finding(client.clock.offset(), max_offset)
    try:
        return (*probing, clock, *await examine(client))
    except MalformedAnswer as error:
        return (*probing, clock, *refused_listing(str(error)))


async def report_conformance(settings: Settings, key: KeyAtHand, *, as_json: bool) -> int:
    """Check, print, and give the exit code: 1 if something deviates that safety rests on.

    Raises OperatorError if the service gave no verdict.
    """
    async with open_client(settings, key) as client:
        try:
            findings = await examine_everything(client, max_offset=settings.max_clock_offset_seconds)
        except RemoteError as error:
            raise OperatorError(f"the service could not be checked ({client.host}): {error}") from None
    print_out(_document(findings) if as_json else _table(findings))
    return DEVIATES if any(finding.result is Result.DEVIATES for finding in findings) else CONFORMS


async def _runs_finding(client: DispersedClient) -> Finding:
    try:
        await client.page_runs(page=1, limit=1)
    except PermissionRefused as error:
        return readable_finding(Check.RUNS, str(error))
    return readable_finding(Check.RUNS, None)


def _no_verdict(said: str) -> Finding:
    return Finding(Check.EXPIRY, Result.DEVIATES, said, "nothing is created: the service's time is not known")


def _table(findings: tuple[Finding, ...]) -> str:
    rows = [(finding.check, finding.result, finding.found, finding.consequence) for finding in findings]
    counted = sum(finding.result is Result.DEVIATES for finding in findings)
    verdict = f"{counted} deviations that safety rests on" if counted else "Nothing deviates that safety rests on"
    return aligned(("CHECK", "RESULT", "FOUND", "WHAT THE OPERATOR DOES"), rows) + f"{verdict}.\n"


def _document(findings: tuple[Finding, ...]) -> str:
    checks = [
        {
            "check": finding.check,
            "result": finding.result,
            "found": finding.found,
            "consequence": finding.consequence,
            "reason": finding.reason,
        }
        for finding in findings
    ]
    return json.dumps({"checks": checks}, indent=2) + "\n"
