"""The two API servers side by side: any history of requests reads the same on both."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from dispersed_devenv.controlplane import ControlPlane
from dispersed_operator.kube.client import DISPERSED_JOBS
from tests.contract.clusters import add_job, process_cluster, real_cluster, version
from tests.contract.histories import Teller, history

SEEDS = 24
LENGTH = 60


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_history_reads_the_same_on_both(control_plane: ControlPlane, seed: int) -> None:
    async with real_cluster(control_plane) as real:
        ours = process_cluster(real.namespace)
        tellers = Teller(real), Teller(ours)
        began = [version(await add_job(cluster, "first")) for cluster in (real, ours)]
        answers: Counter[int] = Counter()
        for request in history(Random(seed), LENGTH):
            expected, got = [await teller.tell(request) for teller in tellers]
            assert got == expected, request
            if expected is not None:
                answers[expected[0]] += 1
        assert answers[200] + answers[201] > LENGTH / 10
        ended = [version(await add_job(cluster, "last")) for cluster in (real, ours)]
        stories = []
        for teller, after, until in zip(tellers, began, ended, strict=True):
            events = await teller.cluster.watch(DISPERSED_JOBS, after=after, until=until)
            stories.append([(event.type, teller.in_words(event.body)) for event in events])
        assert stories[1] == stories[0]
