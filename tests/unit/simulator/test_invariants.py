"""Whatever is done to the simulated world, its lists, its states and its bills stay true."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dispersed_simulator.listing import JOB_FILTERS, parse_query
from dispersed_simulator.records import STATUSES, TERMINAL, Fate
from tests.unit.simulator.harness import ACCOUNT, World

FATES = (
    Fate(), Fate(exit_code=1), Fate(exit_code=1, bad_runs=1), Fate(never_assigned=True), Fate(pull_seconds=900),
    Fate(node_lost_after_seconds=2), Fate(run_seconds=5000), Fate(failing_seconds=20, exit_code=2),
)  # fmt: skip
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["create", "cancel", "advance", "fate", "force"]), st.integers(0, 30), st.sampled_from(FATES)
    ),
    max_size=40,
)


def _act(world: World, action: str, number: int, fate: Fate) -> None:
    jobs = list(world.engine.store.jobs.values())
    now_ms = world.clock.now_ms()
    if action == "create":
        task = "PERSISTENT" if number % 3 == 0 else "BATCH"
        world.new_job(f"job-{len(jobs)}-", fate=fate, task=task, max_retry_count=number % 3)
    elif action == "advance":
        world.advance(number * number)
    elif jobs and action == "cancel":
        world.call("PUT", f"/v1/jobs/{jobs[number % len(jobs)].uuid}/cancel")
    elif jobs and action == "fate":
        world.engine.set_fate(jobs[number % len(jobs)].uuid, fate, at_ms=now_ms)
    elif jobs:
        status = STATUSES[number % len(STATUSES)]
        world.engine.force_status(jobs[number % len(jobs)].uuid, status, at_ms=now_ms, hold=number % 2 == 0)


def _listed(world: World, query: str) -> list[str]:
    parsed = parse_query(query, known=JOB_FILTERS, switches=world.switches)
    page = world.engine.list_jobs(ACCOUNT, parsed, at_ms=world.clock.now_ms())
    return [job.uuid for job in page.rows]


@settings(max_examples=150)
@given(ACTIONS)
def test_lists_states_and_bills_stay_true(actions: list[tuple[str, int, Fate]]) -> None:
    world = World()
    for action, number, fate in actions:
        _act(world, action, number, fate)
        jobs = list(world.engine.store.jobs.values())
        assert sorted(_listed(world, "limit=50")) == sorted(job.uuid for job in jobs)
        for status in STATUSES:
            expected = {job.uuid for job in jobs if job.status == status}
            assert set(_listed(world, f"limit=50&filter[status]={status}")) == expected
        for job in jobs:
            assert sum(run.status not in TERMINAL for run in job.runs) <= 1
            assert (job.status in TERMINAL) <= all(run.status in TERMINAL for run in job.runs)
            assert world.engine.cost_usd(job, at_ms=world.clock.now_ms()) >= 0
    bill = [world.engine.cost_usd(job, at_ms=world.clock.now_ms()) for job in world.engine.store.jobs.values()]
    ended = [job.status in TERMINAL for job in world.engine.store.jobs.values()]
    world.advance(100_000)
    later = [world.engine.cost_usd(job, at_ms=world.clock.now_ms()) for job in world.engine.store.jobs.values()]
    assert all(after == before for before, after, over in zip(bill, later, ended, strict=True) if over)
