"""The command `reap`: what a person asked for becomes a survey, what that chose is ended, and the exit code tells.

Invariant: without `apply` no request is sent that changes anything, neither to the service nor to a cluster.
"""

from __future__ import annotations

from dispersed_operator.config import Settings
from dispersed_operator.direct import KeyAtHand, open_client
from dispersed_operator.errors import OperatorError, RemoteError
from dispersed_operator.model.naming import cluster_mark
from dispersed_operator.planning.reap import Wanted
from dispersed_operator.printing import print_out
from dispersed_operator.reap_report import document, table
from dispersed_operator.reaper import Reaper
from dispersed_operator.reaper_cluster import read_cluster

DONE, NOT_DONE = 0, 1


async def reap(
    settings: Settings,
    key: KeyAtHand,
    *,
    cluster_id: str | None,
    namespace: str | None,
    everything: bool,
    honour_kept: bool,
    apply: bool,
    patience: float,
    as_json: bool,
) -> int:
    """Survey, end what was chosen if `apply`, print. The exit code: 1 if a chosen job may still be alive.

    Raises OperatorError if there is no complete listing, or if the cluster that was to be asked did not answer.
    """
    wanted = Wanted(cluster=cluster_mark(cluster_id) if cluster_id else None, everything=everything)
    if namespace is not None or honour_kept:
        wanted = await _as_the_cluster_says(settings, wanted, cluster_id=cluster_id, namespace=namespace)
    async with open_client(settings, key) as client:
        reaper = Reaper(client, wanted, patience=patience)
        try:
            survey = await reaper.survey()
        except RemoteError as error:
            raise OperatorError(f"the jobs of the account could not be listed ({client.host}): {error}") from None
        if apply:
            survey = await reaper.carry_out(survey)
    print_out((document if as_json else table)(survey, applied=apply))
    return NOT_DONE if any(entry.failed for entry in survey.entries) else DONE


async def _as_the_cluster_says(
    settings: Settings, wanted: Wanted, *, cluster_id: str | None, namespace: str | None
) -> Wanted:
    facts = await read_cluster(settings, cluster_id=cluster_id, namespace=namespace)
    return Wanted(
        cluster=cluster_mark(facts.cluster_id) if facts.cluster_id else wanted.cluster,
        everything=wanted.everything,
        owners=facts.owners,
        left_behind=facts.left_behind,
        kept=facts.kept,
    )
