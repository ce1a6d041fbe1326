"""The command `uninstall-check`: may the operator be uninstalled, and if told so, make it that it may.

Why it exists: the hook of the Helm chart runs it before an uninstall, and a person does who installed with kubectl.
Invariants: it needs no right but to list DispersedJobs, and with `cancel` to delete them; it says yes only after a
complete listing in which nothing needs the operator; the cancelling itself is done by the operator that still runs.
"""

from __future__ import annotations

import asyncio
import random
import time

from dispersed_operator.config import Settings
from dispersed_operator.errors import KubernetesConflict, KubernetesError, KubernetesNotFound, OperatorError
from dispersed_operator.kube.client import DISPERSED_JOBS, KubeClient
from dispersed_operator.kube.credentials import find_credentials
from dispersed_operator.model.observed import JobResource, parse_job
from dispersed_operator.planning.uninstall import Needing, UninstallPlan, plan_uninstall
from dispersed_operator.printing import aligned, print_out

MAY_GO, MUST_STAY = 0, 1
_PAUSE = 1.0
_HEADER = ("DISPERSEDJOB", "PHASE", "BECAUSE IT")
_REFUSED = """\
The operator must stay: without it nobody ends these jobs, and they cost money. Delete the DispersedJobs, or
suspend them, and wait until that is done.
"""
_OUTLIVES = """\
Nothing was deleted: spec.deletionPolicy of at least one of them is Orphan, so its remote job would go on without a
resource. Set it to Cancel, or delete these resources yourself.
"""


async def check_uninstall(settings: Settings, *, cancel: bool, patience: float) -> int:
    """Look at every DispersedJob of the cluster, or of `settings.namespaces`; with `cancel` delete those that are not
    over, and wait up to `patience` seconds for the end of the last. The exit code: 1 if the operator must stay.

    Raises OperatorError if there is no complete listing, or a deletion was refused.
    """
    proxy = settings.kube_proxy.get_secret_value() if settings.kube_proxy is not None else None
    found = find_credentials(kubeconfig=settings.kubeconfig, context=settings.context, proxy=proxy)
    async with KubeClient(await found.configuration(), random=random.random) as kube:
        try:
            plan = await _survey(kube, settings.namespaces)
            if cancel and not _stuck(plan):
                plan = await _end_all(kube, settings.namespaces, plan, patience)
        except KubernetesError as error:
            raise OperatorError(f"whether jobs live is not known, so the operator must stay: {error}") from None
    print_out(report(plan, cancel=cancel))
    return MUST_STAY if plan.needing else MAY_GO


def report(plan: UninstallPlan, *, cancel: bool) -> str:
    """What was found, for a person."""
    if not plan.needing:
        held = f"{plan.held} that are over carry a finalizer. Only an operator takes it off.\n" if plan.held else ""
        return f"No DispersedJob needs the operator.\n{held}"
    rows = [(f"{item.key.namespace}/{item.key.name}", item.phase, item.because) for item in plan.needing]
    return aligned(_HEADER, rows) + (_OUTLIVES if cancel and _stuck(plan) else _REFUSED)


def _stuck(plan: UninstallPlan) -> bool:
    """Whether deleting would not end every job."""
    return any(item.outlives_deletion for item in plan.needing)


async def _survey(kube: KubeClient, namespaces: tuple[str, ...]) -> UninstallPlan:
    found: list[JobResource] = []
    for namespace in namespaces or (None,):
        bodies, _ = await kube.list_all(DISPERSED_JOBS, namespace=namespace)
        found += [parse_job(body) for body in bodies]
    return plan_uninstall(found)


async def _end_all(
    kube: KubeClient, namespaces: tuple[str, ...], plan: UninstallPlan, patience: float
) -> UninstallPlan:
    """Delete, look again, until nothing needs the operator or the time is up; the last that was seen."""
    deadline = time.monotonic() + patience
    while plan.needing and time.monotonic() < deadline:
        for item in plan.to_delete:
            await _delete(kube, item)
        await asyncio.sleep(_PAUSE)
        plan = await _survey(kube, namespaces)
    return plan


async def _delete(kube: KubeClient, item: Needing) -> None:
    try:
        await kube.delete(DISPERSED_JOBS, namespace=item.key.namespace, name=item.key.name, uid=item.uid)
    except (KubernetesNotFound, KubernetesConflict):
        return  # gone, or another one of that name: the next look tells
    print_out(f"{item.key.namespace}/{item.key.name} deleted, because it {item.because}\n")
