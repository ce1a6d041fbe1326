"""Files that hold tokens and keys."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file by one that nobody but its owner can read, at no moment half written."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
    draft.replace(path)
