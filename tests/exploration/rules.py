"""The rules: what must hold in every state, and how a story may end.

Everywhere
    A resource has at most one live job, unless the service itself accepted one request twice, or a third party took
    records and finalizer away while two operators work. It never gets a second job after one ended. No job lives, and
    no request can still be accepted, while its resource is without our finalizer, unless a third party took that off.
At the end (a state in which nothing more happens by itself)
    The live jobs are those that the resource wants, and a deleted resource is gone.

Two more rules are checked where a request is sent (requests.py): no nonce is sent twice, and no request leaves for an
intent that is refused or another's.
"""

from __future__ import annotations

from dispersed_operator.model.intent import IntentState, Refusal
from tests.exploration.moves import World, digest_of
from tests.exploration.state import Mark, read


def broken_rule(world: World, marks: Mark, *, operators: int) -> str:
    """The invariant that this state breaks, or nothing."""
    live = world.remote.live
    bare = Mark.RECORDS_STRIPPED | Mark.FINALIZER_STRIPPED
    doubled = marks & Mark.ACCEPTED_TWICE or (operators > 1 and marks & bare == bare)
    if not doubled:
        if len(live) > 1:
            return "two live jobs of one resource"
        if len(world.remote.jobs) > 1:
            return "a second job of one resource"
    if marks & (Mark.FINALIZER_STRIPPED | Mark.ACCEPTED_TWICE):
        return ""
    held = world.text is not None and read(world.text).has_finalizer
    if live and not held:
        return "a job lives without our finalizer"
    if not held and any(world.clock - post.signed_at <= 300 for post in world.remote.posts):
        return "a request can be accepted without our finalizer"
    return ""


def wrong_end(world: World, marks: Mark) -> str:
    """What is wrong with this end, or nothing."""
    live = len(world.remote.live)
    if world.text is None:
        leaked = live and not marks & (Mark.FINALIZER_STRIPPED | Mark.ACCEPTED_TWICE)
        return "the resource is gone and its job lives" if leaked else ""
    resource = read(world.text)
    if resource.deleting:
        return "a deletion that does not end"
    wanted = 0 if _wants_none(world, marks) else 1
    if live == wanted:
        return ""
    if marks & Mark.ACCEPTED_TWICE and marks & (Mark.CRASHED | Mark.ENDED_BY_ITSELF) and live <= 2:
        return ""  # only the killed process knew the duplicates (the sweeper's work), or one has ended
    return f"{live} live jobs at the end, wanted {wanted}"


def _wants_none(world: World, marks: Mark) -> bool:
    assert world.text is not None
    intent = read(world.text).intent
    if intent is not None and intent.state is IntentState.REFUSED and intent.refusal is Refusal.VALIDATION:
        return intent.body_sha256 == digest_of(world.text)
    return bool(marks & Mark.ENDED_BY_ITSELF)
