"""C7 and C0 agree on how far back to list; otherwise a proof of absence would ask for another listing for ever."""

from __future__ import annotations

import pytest

from dispersed_operator.model.observed import rfc3339
from dispersed_operator.planning.job import plan_job
from dispersed_operator.planning.vocabulary import ClaimIntent, ReadListing
from tests.support.builders import SIGNED, a_job, a_listing, facts, memory, sighting, stranger


@pytest.mark.parametrize("ahead", [-3000, -37, 0, 37, 3000])
def test_the_listing_that_proves_absence_serves_the_create_whatever_the_clocks_say(ahead: int) -> None:
    resource = a_job().intent().metadata(creationTimestamp=rfc3339(SIGNED + ahead)).resource
    asked = plan_job(resource, facts())
    assert isinstance(asked, ReadListing)
    late = SIGNED + 420
    shown = a_listing(stranger(), date=late + 30, since=asked.since)
    proof = facts(at=late + 31, listing=shown, memory=memory(sightings=(sighting(late),), lookups=9))
    assert plan_job(resource, proof) == ClaimIntent(2)
