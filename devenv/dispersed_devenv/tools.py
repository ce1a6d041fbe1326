"""Programs that only tests of the installation need: Helm, kubeconform, the definitions of Prometheus' operator.

They come from the Go module proxy, pinned by `devenv/tools/go.mod` and its go.sum, because that way is locked by hashes
and needs no distribution. They are built once for each machine into the user's cache folder, as the control plane is.
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

SOURCE: Final = Path(__file__).resolve().parent.parent / "tools"
PROGRAMS: Final = {
    "helm": "helm.sh/helm/v4/cmd/helm",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
}
_HELM: Final = "helm.sh/helm/v4"
_MONITORING: Final = "github.com/prometheus-operator/prometheus-operator"
_DEFINITIONS: Final = ("servicemonitors", "prometheusrules")


@dataclass(frozen=True, slots=True)
class Tools:
    """A folder that holds them."""

    folder: Path

    @property
    def helm(self) -> Path:
        return self.folder / "helm"

    @property
    def kubeconform(self) -> Path:
        return self.folder / "kubeconform"

    @property
    def monitoring_definitions(self) -> tuple[Path, ...]:
        """The CustomResourceDefinitions of ServiceMonitor and PrometheusRule."""
        return tuple(self.folder / f"{name}.yaml" for name in _DEFINITIONS)

    @property
    def complete(self) -> bool:
        programs = all(os.access(program, os.X_OK) for program in (self.helm, self.kubeconform))
        return programs and all(path.is_file() for path in self.monitoring_definitions)


def cached_tools(environ: Mapping[str, str], source: Path = SOURCE) -> Tools:
    """Where they belong, whether they are there or not; other versions have another folder."""
    digest = hashlib.sha256(b"".join((source / name).read_bytes() for name in ("go.mod", "go.sum"))).hexdigest()
    return Tools(cache_home(environ) / "tools" / f"{platform_name()}-{digest[:8]}")


def helm_version() -> str:
    """The release that `go.mod` names, for instance v4.3.1."""
    match = re.search(rf"^\s*{re.escape(_HELM)} (v\S+)", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise BuildError(f"{SOURCE / 'go.mod'} names no release of {_HELM}")
    return match.group(1)


def find_or_build_tools(environ: Mapping[str, str] | None = None, report: Report | None = None) -> Tools:
    """The tools, built if need be (minutes, once for each machine). Raises `BuildError`."""
    environ = os.environ if environ is None else environ
    say = report or print_progress
    tools = cached_tools(environ)

    def make(go: Path, work: Path, made: Path) -> None:
        say(f"Helm {helm_version()} and kubeconform are not in the cache: building them")
        stamp = f"-s -w -X {_HELM}/internal/version.version={helm_version()}"
        programs = tuple(PROGRAMS.values())
        gobuild.build(go, made, environ=environ, report=say, work=work, source=SOURCE, programs=programs, linking=stamp)
        module = gobuild.fetch_module(go, _MONITORING, environ=environ, report=say, work=work, source=SOURCE)
        for name in _DEFINITIONS:
            source = module / "example" / "prometheus-operator-crd" / f"monitoring.coreos.com_{name}.yaml"
            (made / f"{name}.yaml").write_bytes(source.read_bytes())

    build_once(tools.folder, lambda: tools.complete, make, environ=environ, report=say)
    return tools
