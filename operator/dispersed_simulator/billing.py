"""What a job costs (API reference §9): PERSISTENT from its creation to its end, BATCH for the time of its runs."""

from __future__ import annotations

from dispersed_simulator.records import TERMINAL, Job, Timing

HOUR_MS = 3_600_000


def cost_usd(job: Job, *, timing: Timing, now_ms: int) -> float:
    """Cost so far in US dollars, rounded to six decimals."""
    if job.task == "BATCH":
        total = sum(run.hourly_rate_usd * run.duration_ms(now_ms) for run in job.runs)
        return round(total / HOUR_MS, 6)
    rate = job.runs[-1].hourly_rate_usd if job.runs else job.fate.hourly_rate_usd
    end_ms = job.completed_ms if job.status in TERMINAL and job.completed_ms is not None else now_ms
    billed_ms = max(0, end_ms - job.created_ms)
    return round((timing.hourly_rate_usd if rate is None else rate) * billed_ms / HOUR_MS, 6)
