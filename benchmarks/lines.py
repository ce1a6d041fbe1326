"""The lines of the table: which figure of which scenario, its goal, and whether `make bench` watches it.

The goals are those that the project has set itself; a goal holds up to a number of resources.
"""

from __future__ import annotations

from dataclasses import dataclass

EVERY = 10**9


@dataclass(frozen=True, slots=True)
class Line:
    """A figure, of which less is better. `goals` are pairs: up to so many resources, at most so much; None
    for sizes without a goal.

    `times_loop` is a goal relative to the bare loop. `floor` is what can be told from nothing: smaller values count
    as this much in ratios. `gated` lines may not fall.
    """

    scenario: str
    figure: str
    title: str
    unit: str
    floor: float
    goals: tuple[tuple[int, float | None], ...] = ()
    times_loop: float | None = None
    gated: bool = False

    @property
    def key(self) -> str:
        """As it is called in the file of recorded ratios."""
        return f"{self.scenario}.{self.figure}"

    def goal(self, size: int) -> float | None:
        """The most that is wanted with so many resources."""
        return next((most for largest, most in self.goals if size <= largest), None)


LINES = (
    Line("burst", "cpu_per_create_ms", "CPU for each of N creates at once", "ms", 0.5, times_loop=3.0, gated=True),
    Line("burst", "apply_to_post_p50_s", "N at once: apply → POST received, median", "s", 0.05),
    Line("burst", "apply_to_post_p95_s", "N at once: apply → POST received, p95", "s", 0.05),
    Line("burst", "writes_per_create", "writes for each of them, first transitions included", "", 1.0),
    Line("burst", "calls_per_create", "remote calls for each create, polls included", "", 1.0),
    Line("burst", "doubles", "N at once: jobs that were made twice", "", 1.0, ((EVERY, 0.0),)),
    Line("burst", "memory_peak_mib", "N at once: peak of memory", "MiB", 1.0, ((EVERY, 300.0),)),
    Line("arrivals", "apply_to_post_p50_s", "100 more: apply → POST received, median", "s", 0.05),
    Line("arrivals", "apply_to_post_p95_s", "100 more: apply → POST received, p95", "s", 0.05, ((EVERY, 2.0),),
         gated=True),
    Line("departures", "delete_to_cancel_p95_s", "100 of N: delete → cancel received, p95", "s", 0.05, ((EVERY, 2.0),)),
    Line("mass_delete", "delete_to_cancel_p95_s", "all N: delete → cancel received, p95", "s", 0.05, gated=True),
    Line("mass_delete", "cpu_per_delete_ms", "CPU for each of N deletes at once", "ms", 0.5, gated=True),
    Line("mass_delete", "calls_per_delete", "remote calls for each delete, polls included", "", 1.0),
    Line("steady", "idle_cpu_percent", "at rest: CPU", "% of a core", 0.1, ((EVERY, 2.0),), gated=True),
    Line("steady", "calls_per_job_hour", "at rest: remote calls for each job and hour", "", 1.0,
         ((999, None), (EVERY, 10.0)), gated=True),
    Line("steady", "freshness_p95_s", "at rest: time between two looks at a job, p95", "s", 1.0),
    Line("steady", "writes", "at rest: writes", "", 1.0, ((EVERY, 0.0),)),
    Line("steady", "memory_mib", "at rest: memory", "MiB", 1.0, ((EVERY, 300.0),), gated=True),
    Line("storm", "change_to_status_p50_s", "up to 1,000 jobs end: change → status, median", "s", 0.5),
    Line("storm", "change_to_status_p95_s", "up to 1,000 jobs end: change → status, p95", "s", 0.5,
         ((1_000, 20.0), (EVERY, 75.0)), gated=True),
    Line("storm", "cpu_per_change_ms", "CPU for each of these", "ms", 0.5),
    Line("storm", "calls_per_change", "remote calls for each of these, polls included", "", 1.0),
    Line("restart", "first_poll_s", "restart: start → all jobs asked about", "s", 0.5, ((EVERY, 60.0),)),
    Line("restart", "posts", "restart: creates", "", 1.0, ((EVERY, 0.0),)),
    Line("restart", "patches", "restart: writes", "", 1.0, ((EVERY, 0.0),)),
    Line("restart", "cpu_s", "restart: CPU", "s", 0.1),
    Line("failover", "kill_to_reconcile_s", "leader killed: new resource → POST by the standby", "s", 1.0,
         ((1_000, 20.0), (EVERY, 35.0))),
    Line("failover", "sleep_to_reconcile_s", "leader asleep: new resource → POST by the standby", "s", 1.0,
         ((1_000, 20.0), (EVERY, 35.0))),
    Line("failover", "old_leader_ended_s", "the sleeper wakes up → it has ended", "s", 1.0),
    Line("failover", "doubles", "fail-over: doubles", "", 1.0, ((EVERY, 0.0),)),
    Line("failover", "leaks", "fail-over: leaks", "", 1.0, ((EVERY, 0.0),)),
    Line("outage", "cpu_percent", "ten minutes of 503: CPU", "% of a core", 0.1),
    Line("outage", "calls_per_minute", "ten minutes of 503: remote calls a minute", "", 1.0),
    Line("outage", "writes", "ten minutes of 503: writes to running jobs' resources", "", 1.0),
    Line("outage", "back_to_full_poll_s", "after it: all jobs asked about", "s", 0.5),
    Line("outage", "back_to_post_s", "after it: POST of a resource that waited", "s", 0.5),
    Line("outage", "busiest_second_after", "after it: remote calls in the busiest second", "", 1.0),
    Line("outage", "doubles", "after it: doubles", "", 1.0, ((EVERY, 0.0),)),
    Line("mass_delete", "memory_peak_mib", "restart to the end: peak of memory", "MiB", 1.0, ((EVERY, 300.0),)),
    Line("mass_delete", "leaks", "at the end: live jobs without a resource", "", 1.0, ((EVERY, 0.0),)),
)  # fmt: skip
