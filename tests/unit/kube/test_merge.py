"""The merge patch: applied to the old object it gives the new one, and it holds nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispersed_operator.kube.merge import merge_patch

Object = dict[str, Any]

_SCALARS = st.one_of(st.booleans(), st.integers(-3, 3), st.floats(0, 2, width=16), st.text("ab", max_size=2))
_KEYS = st.sampled_from(["a", "b", "c"])
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(_KEYS, inner, max_size=3))
)
_OBJECTS = st.dictionaries(_KEYS, _VALUES, max_size=3)


def apply(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply(result.get(key), value)
    return result


def exactly(value: Any) -> str:
    """A text that tells True from 1 and 1 from 1.0, as JSON does."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{exactly(value[key])}" for key in sorted(value)) + "}"
    return "[" + ",".join(map(exactly, value)) + "]" if isinstance(value, list) else repr(value)


@given(_OBJECTS, _OBJECTS)
def test_the_patch_turns_the_old_object_into_the_new_one(old: Object, new: Object) -> None:
    before = copy.deepcopy((old, new))
    assert apply(old, merge_patch(old, new)) == new
    assert (old, new) == before


@given(_OBJECTS)
def test_equal_objects_need_no_patch(value: Object) -> None:
    assert merge_patch(value, copy.deepcopy(value)) == {}


def test_only_the_difference_is_written_and_what_is_gone_is_an_explicit_null() -> None:
    old = {"phase": "Running", "cost": {"usd": "1.0", "seconds": 5}, "note": "x", "runs": [{"n": 1}]}
    new = {"phase": "Running", "cost": {"usd": "1.5", "seconds": 5}, "runs": [{"n": 1}, {"n": 2}]}
    assert merge_patch(old, new) == {"cost": {"usd": "1.5"}, "note": None, "runs": [{"n": 1}, {"n": 2}]}


@pytest.mark.parametrize(("old", "new"), [({"a": 1}, {"a": True}), ({"a": [{"b": 0}]}, {"a": [{"b": False}]})])
def test_a_truth_value_is_not_a_number(old: Object, new: Object) -> None:
    assert exactly(apply(old, merge_patch(old, new))) == exactly(new)
    assert merge_patch(old, new) != {}


def test_an_emptied_object_stays_as_an_empty_object() -> None:
    assert merge_patch({"a": {"b": 1}}, {"a": {}}) == {"a": {"b": None}}
    assert merge_patch({}, {"a": {}}) == {"a": {}}
    assert merge_patch({"a": 1}, {"a": {}}) == {"a": {}}


@pytest.mark.parametrize("new", [{"a": None}, {"a": {"b": None}}], ids=["top", "nested"])
def test_a_null_cannot_be_written(new: Object) -> None:
    with pytest.raises(ValueError, match="null"):
        merge_patch({}, new)
