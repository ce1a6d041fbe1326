"""The pages that people read: README and docs, without those that only the code writes."""

from __future__ import annotations

from pathlib import Path

from tests.unit.repository.tree import FILES, ROOT

PAGES = [path for path in FILES if path.suffix == ".md"]
# In the order in which a reader meets them; each is run from top to bottom, and puts away what it made.
TRANSCRIPTS = [ROOT / "README.md", *(ROOT / "docs" / name for name in ("development.md", "simulator.md", "reaper.md"))]


def page(name: str) -> Path:
    """A page by its path in the repository."""
    return ROOT / name
