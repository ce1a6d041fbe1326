"""Who may act, and since when (C0): the seam where an election goes.

There is one replica with the strategy `Recreate`, so this process always leads. Leadership is for liveness only; safety
rests on the compare-and-swap of the intent and must hold when two processes believe that they lead.
"""

from __future__ import annotations

from collections.abc import Callable


class SoleLeader:
    """Leads from the moment it is made."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._since = monotonic()

    @property
    def leading(self) -> bool:
        return True

    def leading_since(self) -> float:
        """Monotonic time since when this process leads (C0)."""
        return self._since
