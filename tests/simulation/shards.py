"""How processes share the work in an episode: who is which shard at first, and after the number of shards has changed.

The number changes as a StatefulSet does it: one process after the other ends in order and begins again as another
shard. Meanwhile an account may have two shards, or none.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

SECOND_ACCOUNT = "third"
"""Of two shards the first works for it, and the second for the account `default`."""


@dataclass(frozen=True, slots=True)
class SlotParts:
    """The shard of a slot, as the operator's setting is written, and since `rolled_at` another one; None: no process
    runs there."""

    first: str | None
    later: str | None
    rolled_at: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The slots of an episode, and the account of each resource by its number; "" leaves it to the default."""

    slots: tuple[SlotParts, ...]
    accounts: tuple[str, ...]

    @property
    def last_roll(self) -> float:
        """When the last slot has its later shard."""
        return max(slot.rolled_at for slot in self.slots)

    def account(self, target: int) -> str:
        """The account that the resource number `target` names at first."""
        return self.accounts[target % len(self.accounts)]


def draw_layout(rng: random.Random) -> Layout:
    """Two shards in half of the episodes; else their number changes, or old and new ones stay side by side."""
    before, after = rng.choice(_CHANGES)
    moments = sorted((rng.uniform(0.0, 90.0) for _ in before), reverse=True)  # the highest ordinal first
    slots = (SlotParts(first, later, at) for first, later, at in zip(before, after, moments, strict=True))
    accounts = tuple(rng.choice(("", "default", SECOND_ACCOUNT, SECOND_ACCOUNT)) for _ in range(4))
    return Layout(tuple(slots), accounts)


_TWO: tuple[str | None, ...] = ("0/2", "1/2")
_MIXED: tuple[str | None, ...] = ("0/2", "0/1")
_CHANGES: tuple[tuple[tuple[str | None, ...], tuple[str | None, ...]], ...] = (
    (_TWO, _TWO),
    (_TWO, _TWO),
    (_TWO, _TWO),
    (_TWO, _TWO),
    (_MIXED, _MIXED),
    (("0/2", "1/2", None), ("0/3", "1/3", "2/3")),
    (("0/3", "1/3", "2/3"), ("0/2", "1/2", None)),
    (("0/2", "1/2"), ("0/1", None)),
)
