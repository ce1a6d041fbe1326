"""Which of several processes works for an account: a stable hash, the same in every process and every version.

For those who outgrow one process (ADR 0011). All that belongs to an account goes with it: its jobs, its poller, its
sweep, its orphans. Invariant: of the shards of one count exactly one owns an account. Safety never rests on it: while
the count changes, two processes may own the same account, or none.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from dispersed_operator.model.keys import ResourceKey

MOST_SHARDS = 64

_WRITTEN = re.compile(r"(0|[1-9][0-9]?)/([1-9][0-9]?)")


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` of `count`, written as `index/count`; the first of one owns everything."""

    index: int = 0
    count: int = 1

    @classmethod
    def read(cls, text: str) -> Self:
        """A shard as it is written. Raises ValueError if it is none."""
        found = _WRITTEN.fullmatch(text)
        index, count = (int(found[1]), int(found[2])) if found else (0, 0)
        if not index < count <= MOST_SHARDS:
            raise ValueError(f"must be index/count, as 0/3: the index below the count, the count at most {MOST_SHARDS}")
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def alone(self) -> bool:
        """Whether there are no other shards."""
        return self.count == 1

    def owns(self, account: ResourceKey) -> bool:
        """Whether this shard works for the account, whether that exists or not."""
        return self.alone or account_hash(account) % self.count == self.index


def account_hash(account: ResourceKey) -> int:
    """64 bits of the account's kind, namespace and name. Frozen: shards of different versions must agree."""
    text = f"{account.kind.value}/{account.namespace}/{account.name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
