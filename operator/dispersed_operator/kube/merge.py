"""The exact difference of two objects as a JSON merge patch (RFC 7386).

Status is written as the difference to the very version that was read: it is small, it is guarded by that version, and
it cannot delete by omission what it never meant to touch. A key that is gone is an explicit null; a list is replaced
whole.

Invariant: applying `merge_patch(old, new)` to `old` gives `new`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The patch that turns `old` into `new`; `{}` if they are equal.

    Raises `ValueError` if `new` holds a null: in a merge patch a null means "remove", so it cannot be written.
    """
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if value is None:
            raise ValueError(f"a merge patch cannot write a null ({key!r})")
        if key not in old:
            patch[key] = _whole(value)
        elif isinstance(value, Mapping) and isinstance(old[key], Mapping):
            inner = merge_patch(old[key], value)
            if inner:
                patch[key] = inner
        elif not _same(old[key], value):
            patch[key] = _whole(value)
    return patch


def _whole(value: Any) -> Any:
    """`value` as it must stand in the patch: plain, and without nulls, which the server would take out."""
    return merge_patch({}, value) if isinstance(value, Mapping) else value


def _same(old: Any, new: Any) -> bool:
    """Equality as JSON knows it: `True` is not 1, at any depth."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    return bool(old == new)
