"""Samples of a profiler, by library and by the operator's own function."""

from __future__ import annotations

from benchmarks.profiles import costs

SAMPLES = (
    "main (asyncio/runners.py:1);plan (dispersed_operator/planning/job.py:7);dumps (json/__init__.py:3) 6",
    "main (asyncio/runners.py:1);send (dispersed_operator/kube/client.py:9);get (site-packages/aiohttp/client.py:5) 3",
    "run (<frozen runpy>:1);main (asyncio/runners.py:1) 1",
    "main (asyncio/runners.py:1);wait (selectors.py:4) 70",
)


def test_a_sample_counts_for_the_library_it_was_in_and_for_the_function_of_ours_that_wanted_it() -> None:
    rooms, functions, libraries = costs(SAMPLES).split("\n\n")
    assert libraries.splitlines()[2:] == ["| json | 60% |", "| aiohttp | 30% |", "| asyncio | 10% |"]
    assert functions.splitlines()[2:] == [
        "| planning/job.py plan | 60% |", "| kube/client.py send | 30% |", "| no frame of the operator | 10% |",
    ]  # fmt: skip
    assert rooms.splitlines()[2:] == ["| planning | 60% |", "| kube | 30% |", "| no frame of the operator | 10% |"]
