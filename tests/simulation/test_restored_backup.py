"""An episode written by hand: a backup that was taken after the create intent had been thrown away."""

from __future__ import annotations

from tests.simulation.episode import play
from tests.simulation.plan import Plan, RemoteFault, User, Verb


def test_a_deleted_copy_whose_record_proves_nothing_keeps_its_finalizer_and_asks_a_person() -> None:
    """The record came back with the backup, the intent that names the earlier object did not: no title verifies, so the
    job is not cancelled, and what leads to it stays (failure mode 61)."""
    items = (
        User(4.0, Verb.CREATE, 0),
        User(47.0, Verb.STRIP_ALL, 0),
        User(90.0, Verb.BACKUP, 0),
        RemoteFault(139.0, "malformed", "PUT", times=2, number=0, flag=False),
        User(139.4, Verb.RESTORE_WITH_STATUS, 0),
        User(139.5, Verb.DELETE, 0),
    )
    plan = Plan(1, 1, persistent=(True,), run_seconds=60.0, items=items, kept=tuple(range(len(items))))
    result = play(plan)
    assert not result.violations
    assert result.excused == 1, "the job of the earlier object, which the copy records"
