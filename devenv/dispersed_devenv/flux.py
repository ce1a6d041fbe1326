"""Flux's kustomize-controller and the definitions that it works with, for tests of GitOps.

The controller is pinned by `devenv/flux/go.mod`, the module of the definitions of its sources by
`devenv/flux/sources/go.mod`. Both are built once for each machine into the user's cache folder, as the tools are.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dispersed_devenv import gobuild
from dispersed_devenv.binaries import cache_home, platform_name, print_progress
from dispersed_devenv.builds import build_once
from dispersed_devenv.gobuild import BuildError, Report

SOURCE: Final = Path(__file__).resolve().parent.parent / "flux"
_CONTROLLER: Final = "github.com/fluxcd/kustomize-controller"
_SOURCES: Final = "github.com/fluxcd/source-controller"
_DEFINITIONS: Final = {
    "kustomize.toolkit.fluxcd.io_kustomizations.yaml": _CONTROLLER,
    "source.toolkit.fluxcd.io_buckets.yaml": _SOURCES,
    "source.toolkit.fluxcd.io_externalartifacts.yaml": _SOURCES,
    "source.toolkit.fluxcd.io_gitrepositories.yaml": _SOURCES,
    "source.toolkit.fluxcd.io_ocirepositories.yaml": _SOURCES,
}
"""Every kind that the controller watches; without one of them it does not start."""


@dataclass(frozen=True, slots=True)
class Flux:
    """A folder that holds them."""

    folder: Path

    @property
    def kustomize_controller(self) -> Path:
        return self.folder / "kustomize-controller"

    @property
    def definitions(self) -> Path:
        """The folder of the CustomResourceDefinitions."""
        return self.folder / "definitions"

    @property
    def complete(self) -> bool:
        definitions = all((self.definitions / name).is_file() for name in _DEFINITIONS)
        return definitions and os.access(self.kustomize_controller, os.X_OK)


def cached_flux(environ: Mapping[str, str], source: Path = SOURCE) -> Flux:
    """Where they belong, whether they are there or not; other versions have another folder."""
    locks = [folder / name for folder in (source, source / "sources") for name in ("go.mod", "go.sum")]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in locks)).hexdigest()
    return Flux(cache_home(environ) / "flux" / f"{platform_name()}-{digest[:8]}")


def controller_version() -> str:
    """The release that `go.mod` names, for instance v1.9.6."""
    match = re.search(rf"^\s*(?:require )?{re.escape(_CONTROLLER)} (v\S+)", (SOURCE / "go.mod").read_text(), re.M)
    if match is None:
        raise BuildError(f"{SOURCE / 'go.mod'} names no release of {_CONTROLLER}")
    return match.group(1)


def find_or_build_flux(environ: Mapping[str, str] | None = None, report: Report | None = None) -> Flux:
    """The controller and its definitions, built if need be (minutes, once for each machine). Raises `BuildError`."""
    environ = os.environ if environ is None else environ
    say = report or print_progress
    flux = cached_flux(environ)

    def make(go: Path, work: Path, made: Path) -> None:
        say(f"Flux's kustomize-controller {controller_version()} is not in the cache: building it")
        program = Flux(made).kustomize_controller
        programs = (_CONTROLLER,)
        gobuild.build(
            go, program, environ=environ, report=say, work=work, source=SOURCE, programs=programs, linking="-s -w"
        )
        modules = {
            name: gobuild.fetch_module(go, name, environ=environ, report=say, work=work, source=source)
            for name, source in ((_CONTROLLER, SOURCE), (_SOURCES, SOURCE / "sources"))
        }
        Flux(made).definitions.mkdir()
        for name, module in _DEFINITIONS.items():
            found = modules[module] / "config" / "crd" / "bases" / name
            (Flux(made).definitions / name).write_bytes(found.read_bytes())

    build_once(flux.folder, lambda: flux.complete, make, environ=environ, report=say)
    return flux
