"""Argo CD's scripts, run by Lua 5.1: the language of its sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lupa.lua51 as lupa

ARGOCD = Path(__file__).parents[2] / "manifests" / "argocd"


def run(script: Path, obj: Any) -> Any:
    """What a script returns for an object."""
    lua = lupa.LuaRuntime(unpack_returned_tuples=True)
    lua.globals()["obj"] = lua.table_from(obj, recursive=True)
    return plain(lua.execute(script.read_text()))


def plain(value: Any) -> Any:
    """A Lua value as Python has it; an empty table counts as an empty mapping."""
    if lupa.lua_type(value) != "table":
        return value
    pairs = {key: plain(item) for key, item in value.items()}
    return list(pairs.values()) if pairs and list(pairs) == list(range(1, len(pairs) + 1)) else pairs


def health(obj: Any) -> str:
    """The health status that Argo CD shows for an object of ours."""
    group = obj["apiVersion"].split("/")[0]
    return str(run(ARGOCD / "resource_customizations" / group / obj["kind"] / "health.lua", obj)["status"])
