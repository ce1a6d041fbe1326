"""What the preflight says: for each thing that an installation needs, whether it is there, and the remedy if not.

Why it exists: who installs wants to know what is wrong before a job waits for it. Reading is done elsewhere; here facts
become lines. Invariant: `FAIL` is said only of what the operator needs and certainly has not got; what could not be
looked at is a warning, and never `ok`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dispersed_operator.errors import CredentialsRefused, NotSent, RemoteError
from dispersed_operator.model.base import API_VERSION
from dispersed_operator.model.orphan import OrphanPolicy
from dispersed_operator.model.rights import ScopedRight
from dispersed_operator.planning.conformance import Check, Finding, Result
from dispersed_operator.planning.served import ServedKind

OLDEST_KUBERNETES = (1, 30)
_SHOWN = 4
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_APPLY = "apply manifests or chart of this release again (docs/install.md)"
_APPLY_KINDS = "apply the definitions of this release: kubectl apply --server-side -k crds"


class Grade(StrEnum):
    """`WARN`: the operator works, or it could not be looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. `remedy` is empty where there is nothing to mend."""

    grade: Grade
    check: str
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Line:
    """It is there."""
    return Line(Grade.OK, check, found)


def warn(check: str, found: str, remedy: str) -> Line:
    """Worth a look."""
    return Line(Grade.WARN, check, found, remedy)


def fail(check: str, found: str, remedy: str) -> Line:
    """The operator needs it."""
    return Line(Grade.FAIL, check, found, remedy)


def has_failed(lines: Iterable[Line]) -> bool:
    """Whether something fails that the operator needs."""
    return any(line.grade is Grade.FAIL for line in lines)


# --- the API server and its kinds


def unreachable_line(source: str, error: str) -> Line:
    """Nothing could be asked."""
    return fail(
        "API server",
        f"of no use with {source} ({error}); nothing else was looked at",
        "check address, certificate authority and token there, and --kubeconfig, --context and --kube-proxy",
    )


def version_line(version: str) -> Line:
    """`version` is what the server calls itself, as v1.36.3."""
    found = _VERSION.match(version)
    if found is None:
        return warn("API server", "it answers and does not say its version", "Kubernetes 1.30 or newer is needed")
    if (int(found[1]), int(found[2])) < OLDEST_KUBERNETES:
        return fail("API server", f"it answers as {version}", "Kubernetes 1.30 or newer is needed: upgrade the cluster")
    return ok("API server", f"it answers as {version}")


def trust_line(authorities: Collection[str]) -> Line:
    """`authorities`: fingerprints of the cluster's own certificate authorities."""
    if authorities:
        return ok("certificate trust", f"verified by {', '.join(authorities)}")
    return warn(
        "certificate trust",
        "the API server is not verified by an authority of its own, so a copy of the cluster could not be told from it",
        "name the cluster's certificate authority in the kubeconfig",
    )


def cluster_id_line(*, configured: str | None, found: str | None, error: str, namespaced: bool) -> Line:
    """`found` is the uid of kube-system, None with the `error` that came instead."""
    if configured is not None:
        return ok("cluster id", f"{configured} (setting)")
    remedy = "set --cluster-id to an id that no other operator has and that never changes (docs/install.md)"
    if found is None:
        return fail("cluster id", f"the uid of kube-system cannot be read ({error})", remedy)
    if namespaced:
        return warn("cluster id", f"{found} (uid of kube-system), as every other operator of this cluster has", remedy)
    return ok("cluster id", f"{found} (uid of kube-system)")


def kind_line(kind: ServedKind) -> Line:
    """How one of our kinds is served."""
    check = f"kind {kind.kind}"
    if not kind.served:
        return fail(check, f"it is not served as {API_VERSION}", _APPLY_KINDS)
    if not kind.has_status:
        return fail(check, "it has no status subresource", _APPLY_KINDS)
    if kind.missing:
        return fail(check, f"its definition lacks what this release needs: {_some(kind.missing)}", _APPLY_KINDS)
    if kind.different:
        found = f"its definition is not that of this release: {_some(kind.different)}"
        return warn(check, found, f"unless it is that of a newer one, {_APPLY_KINDS}")
    return ok(check, f"served as {API_VERSION} with the schema of this release")


# --- rights


def rights_lines(user: str, needed: Sequence[ScopedRight], granted: Collection[ScopedRight]) -> tuple[Line, ...]:
    """A line for each right that is missing, one for a namespace in which all are."""
    if set(needed) <= set(granted):
        return (ok("rights", f"{user} has all {len(needed)} that the operator uses"),)
    lines: list[Line] = []
    for namespace in dict.fromkeys(item.namespace for item in needed):
        here = [item for item in needed if item.namespace == namespace]
        lacking = [item for item in here if item not in granted]
        if namespace is not None and len(lacking) == len(here):
            found = f"{user} has none of the {len(here)} in the namespace {namespace}"
            lines.append(fail("rights", found, f"see that it exists, and {_APPLY}"))
        else:
            lines += [fail("rights", f"{user} may not: kubectl auth can-i {item}", _APPLY) for item in lacking]
    return tuple(lines)


def rights_unknown_line(error: str) -> Line:
    """The server answers no question about rights."""
    return warn("rights", f"they could not be asked for ({error})", "bind system:basic-user to system:authenticated")


# --- settings


def namespace_line(name: str, role: str, *, exists: bool | None, granted: bool) -> Line:
    """`role` completes "namespace …"; `exists` None: it may not be read. `granted`: there are rights in it."""
    check = f"namespace {name}"
    if exists is False:
        return fail(check, f"{role}; it does not exist", f"kubectl create namespace {name}, or correct the setting")
    if exists is None and not granted:
        return warn(check, f"{role}; whether it exists may not be read", f"kubectl get namespace {name}")
    return ok(check, f"{role}; it exists" if exists else f"{role}; it may not be read, but rights are granted in it")


def orphan_policy_line(policy: OrphanPolicy, *, namespaced: bool) -> Line:
    """An installation for some namespaces only reports."""
    if namespaced and policy is not OrphanPolicy.REPORT:
        found = f"{policy} has no effect where --namespaces is set: orphans are counted and never cancelled"
        return warn("orphan policy", found, f"set --orphan-policy={OrphanPolicy.REPORT}")
    return ok("orphan policy", str(policy))


# --- accounts


def no_account_line() -> Line:
    """Nothing can be created yet."""
    return warn("accounts", "there is none", "add a Secret with the key pair and an account (docs/install.md)")


def secret_line(account: str, where: str, problem: str | None) -> Line:
    """The Secret `where` of an account; `problem` is what is wrong with it."""
    if problem is None:
        return ok(f"{account}: Secret", f"{where} has publicKey and secretKey")
    remedy = f"put publicKey and secretKey of the account into the Secret {where} (docs/install.md)"
    return fail(f"{account}: Secret", problem, remedy)


def refused_lines(account: str, host: str, where: str, error: RemoteError) -> tuple[Line, ...]:
    """The service gave no verdict."""
    if isinstance(error, CredentialsRefused):
        remedy = f"put a key pair that is valid at {host} into the Secret {where}"
        return (
            ok(f"{account}: service", f"{host} answers"),
            fail(f"{account}: key", f"the service refuses it ({error})", remedy),
        )
    words = "cannot be reached" if isinstance(error, NotSent) else "does not answer properly"
    remedy = "check spec.baseURL, the network policy, --remote-proxy and --remote-ca-file"
    return (fail(f"{account}: service", f"{host} {words} ({error})", remedy),)


def examined_lines(account: str, host: str, fingerprint: str, findings: Sequence[Finding]) -> tuple[Line, ...]:
    """The service answered; each deviation is a line, and so is the clock."""
    clock = [_finding_line(account, item) for item in findings if item.check is Check.CLOCK]
    others = [item for item in findings if item.check is not Check.CLOCK]
    told = [_finding_line(account, item) for item in others if item.result in {Result.DEVIATES, Result.DIFFERS}]
    passed = sum(item.result is Result.PASSED for item in others)
    unseen = [str(item.check) for item in others if item.result is Result.NOT_SEEN]
    summary = f"{passed} checks passed" + (f", not seen yet: {', '.join(unseen)}" if unseen else "")
    return (
        ok(f"{account}: service", f"{host} answers"),
        ok(f"{account}: key", f"accepted, fingerprint {fingerprint}"),
        *clock,
        *told,
        ok(f"{account}: behaviour", summary),
    )


_REMEDIES = {
    Check.CLOCK: "set the clock of this machine; outside the operator's pod it is not that of the operator",
    Check.JOBS: "give the key the permission jobs.read.own",
    Check.RUNS: "give the key the permission job_runs.read.own",
}


def _finding_line(account: str, finding: Finding) -> Line:
    check = f"{account}: {'clock' if finding.check is Check.CLOCK else finding.check}"
    if finding.result is Result.PASSED:
        return ok(check, finding.found)
    found = f"{finding.found}; {finding.consequence}"
    if finding.result is Result.DEVIATES:
        return fail(check, found, _REMEDIES.get(finding.check, "ask the service (docs/reaper.md, conformance)"))
    if finding.result is Result.NOT_SEEN:
        return warn(check, finding.found, "ask again")
    return warn(check, found, "nothing needs to be done")


def _some(paths: Sequence[str]) -> str:
    more = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
