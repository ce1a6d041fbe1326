"""The checker can fail: every deliberate break of the protocol is found."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import FIRST_SEEDS, FOUND_WITHIN, MUTANTS
from tests.simulation.slices import chaos


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_protocol_is_found(mutant: str) -> None:
    first = FIRST_SEEDS.get(mutant, 1)
    done = chaos(
        "--mutant", mutant, "--seed", str(first), "--episodes", str(FOUND_WITHIN), "--stop-after", "1", "--no-shrink"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "violations      1" in done.stdout
    assert "Traceback" not in done.stderr
