"""The patch for Argo CD's ConfigMap, made of the scripts that its own test layout holds.

python -m dispersed_devenv.argocd manifests/argocd
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml


class _Text(str):
    """A text that is written as a block, so that a script stays readable."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))


def config_map_patch(folder: Path) -> str:
    """The patch as YAML, from `folder`/resource_customizations/GROUP/KIND/."""
    data: dict[str, str] = {}
    for kind in sorted((folder / "resource_customizations").glob("*/*")):
        name = f"{kind.parent.name}_{kind.name}"
        data[f"resource.customizations.health.{name}"] = _Text((kind / "health.lua").read_text())
        if (kind / "actions").is_dir():
            data[f"resource.customizations.actions.{name}"] = _Text(_dump(_actions(kind / "actions")))
    return _dump({"data": data})


def _actions(folder: Path) -> dict[str, Any]:
    scripts = sorted(folder.glob("*/action.lua"))
    return {
        "discovery.lua": _Text((folder / "discovery.lua").read_text()),
        "definitions": [{"name": path.parent.name, "action.lua": _Text(path.read_text())} for path in scripts],
    }


def _dump(document: Any) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    (target / "argocd-cm.yaml").write_text(config_map_patch(target))
