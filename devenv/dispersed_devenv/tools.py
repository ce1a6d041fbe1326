"""Programs that only tests of the installation need: Helm, kubeconform, the definitions of Prometheus' operator.

They come from the Go module proxy, pinned by `devenv/tools/go.mod` and its go.sum, because that way is locked by hashes
and needs no distribution. They are built once for each machine into the user's cache folder, as the control plane is.
Invariant: a folder in the cache is complete, because it is renamed into its place only when everything is in it.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dispersed_devenv import gobuild
from dispersed_devenv.binaries import build_lock, cache_home, platform_name, print_progress
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
    report = report or print_progress
    tools = cached_tools(environ)
    if not tools.complete:
        with build_lock(tools.folder.parent / f"{tools.folder.name}.lock", report):
            if not tools.complete:  # nobody built them while we waited
                _build_into(tools.folder, environ, report)
    return tools


def _build_into(folder: Path, environ: Mapping[str, str], report: Report) -> None:
    report(f"Helm {helm_version()} and kubeconform are not in the cache: building them")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as scratch:
        work = Path(scratch)
        made = work / "made"
        made.mkdir()
        go = gobuild.installed_go(environ) or gobuild.fetch_go(cache_home(environ), report, work)
        gobuild.build(
            go,
            made,
            environ=environ,
            report=report,
            work=work,
            source=SOURCE,
            programs=tuple(PROGRAMS.values()),
            linking=f"-s -w -X {_HELM}/internal/version.version={helm_version()}",
        )
        module = gobuild.fetch_module(go, _MONITORING, environ=environ, report=report, work=work, source=SOURCE)
        for name in _DEFINITIONS:
            source = module / "example" / "prometheus-operator-crd" / f"monitoring.coreos.com_{name}.yaml"
            (made / f"{name}.yaml").write_bytes(source.read_bytes())
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    report(f"built: {folder}")
