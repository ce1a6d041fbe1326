"""The command `check`: whether everything that the operator needs is there, for whoever installs it.

It looks with the credentials that it is given: in the pod with those of the operator, on a desk with somebody's own,
and says whose they are. Invariants: it changes nothing, neither in the cluster nor at the service; what it prints has
passed the redactor, which knows every key that was read.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace

from dispersed_operator.config import Settings
from dispersed_operator.errors import KubernetesError
from dispersed_operator.kube.client import KubeClient
from dispersed_operator.kube.credentials import authorities, find_credentials
from dispersed_operator.model.redaction import Redactor
from dispersed_operator.planning.preflight import Grade, Line, has_failed, trust_line, unreachable_line
from dispersed_operator.preflight import cluster_lines, server_version
from dispersed_operator.preflight_accounts import account_lines
from dispersed_operator.printing import print_out, printable

FIT, UNFIT = 0, 1
_WIDTH = max(map(len, Grade)) + 2


async def check(settings: Settings, *, as_json: bool) -> int:
    """Look at everything, print it, and give the exit code: 1 if something fails that the operator needs.

    Raises SettingsError if there are no credentials for a cluster.
    """
    redactor = Redactor(settings.secret_texts)
    seen = await _lines(settings, redactor)
    lines = [replace(line, found=redactor.clean(line.found), remedy=redactor.clean(line.remedy)) for line in seen]
    print_out(document(lines) if as_json else report(lines))
    return UNFIT if has_failed(lines) else FIT


def report(lines: Sequence[Line]) -> str:
    """The lines for a person, and what they come to."""
    rows = [f"{line.grade:<{_WIDTH}}{printable(_sentence(line))}\n" for line in lines]
    failed, warned = (sum(line.grade is grade for line in lines) for grade in (Grade.FAIL, Grade.WARN))
    verdict = f"{failed} of {len(lines)} checks failed" if failed else "Everything that the operator needs is there"
    return "".join(rows) + verdict + (f"; warnings: {warned}.\n" if warned else ".\n")


def document(lines: Sequence[Line]) -> str:
    """The lines for a program: one JSON object."""
    checks = [
        {"check": line.check, "result": line.grade, "found": line.found, "remedy": line.remedy or None}
        for line in lines
    ]
    return json.dumps({"failed": has_failed(lines), "checks": checks}, indent=2) + "\n"


async def _lines(settings: Settings, redactor: Redactor) -> list[Line]:
    proxy = settings.kube_proxy.get_secret_value() if settings.kube_proxy is not None else None
    found = find_credentials(kubeconfig=settings.kubeconfig, context=settings.context, proxy=proxy)
    configuration = await found.configuration()
    async with KubeClient(configuration, random=random.random) as kube:
        try:
            version = await server_version(kube)
        except KubernetesError as error:
            return [unreachable_line(found.describe(), str(error))]
        return [
            trust_line(authorities(configuration)),
            *await cluster_lines(kube, settings, version),
            *await account_lines(kube, settings, redactor),
        ]


def _sentence(line: Line) -> str:
    return f"{line.check}: {line.found}" + (f". Remedy: {line.remedy}" if line.remedy else "")
