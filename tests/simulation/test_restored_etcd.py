"""Episodes written by hand: what a restored etcd can do to one object, moment by moment."""

from __future__ import annotations

from tests.simulation.episode import play
from tests.simulation.plan import Incident, Plan, Trouble, User, Verb


def test_a_deletion_that_meets_our_status_write_at_a_version_given_out_twice_is_carried_out() -> None:
    """The write succeeds by compare-and-swap, its answer brings the deletion into the store, and no event will ever
    tell of it again."""
    items = (
        User(1.0, Verb.CREATE, 0),
        Incident(8.0, Trouble.BACKUP_ETCD),
        Incident(40.0, Trouble.RESTORE_ETCD),
        User(41.0, Verb.DELETE, 0),
    )
    plan = Plan(1, 1, persistent=(False,), run_seconds=60.0, items=items, kept=tuple(range(len(items))))
    result = play(plan)
    assert not result.violations


def test_a_copy_whose_claim_is_forgotten_and_whose_origin_is_gone_asks_a_person() -> None:
    """Its own job lives; what it carries names a job of somebody who can no longer be asked (failure mode 15)."""
    items = (
        User(1.0, Verb.CREATE, 0),
        User(6.0, Verb.CLONE_WITH_STATUS, 0),
        Incident(6.2, Trouble.BACKUP_ETCD),
        Incident(40.0, Trouble.RESTORE_ETCD),
        User(40.1, Verb.FORCE_DELETE, 0),
    )
    plan = Plan(1, 1, persistent=(True,), run_seconds=60.0, items=items, kept=tuple(range(len(items))))
    result = play(plan)
    assert not result.violations
    assert result.excused == 2, "the copy's job, and that of the object that was deleted by force"
