"""The command line of the development environment: `python -m dispersed_devenv`."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic

from dispersed_devenv.binaries import NoControlPlaneError, find_or_build
from dispersed_devenv.controlplane import STOP_ORDER, AlreadyRunningError, ControlPlane, KubectlError
from dispersed_devenv.demo import run_demo
from dispersed_devenv.environment import NAMESPACE, REPOSITORY, Environment, PartlyRunningError
from dispersed_devenv.flux import find_or_build_flux
from dispersed_devenv.gobuild import BuildError
from dispersed_devenv.processes import ProcessError
from dispersed_devenv.tools import find_or_build_tools

DEFAULT_FOLDER = REPOSITORY / ".dev"
TOKEN_LIFETIME = timedelta(hours=24)
OPERATOR_FLAGS = ("--max-clock-offset-seconds", "1000000")  # the simulator's clock may be stepped by hand
_FAILURES = (NoControlPlaneError, BuildError, AlreadyRunningError, PartlyRunningError, ProcessError, KubectlError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand. Exit status 0 when it did what it says, 1 with a reason on standard error, 2 for usage,
    130 when interrupted.
    """
    arguments = parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except _FAILURES as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m dispersed_devenv",
        description="A real Kubernetes control plane, the simulator and the operator on loopback, for development, "
        "demo and tests.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    binaries = commands.add_parser("binaries", help="find or build the programs and print their folder")
    binaries.set_defaults(run=_binaries)
    tools = commands.add_parser("tools", help="find or build Helm and kubeconform and print their folder")
    tools.set_defaults(run=_tools)
    flux = commands.add_parser("flux", help="find or build Flux's kustomize-controller and print its folder")
    flux.set_defaults(run=_flux)
    demo = commands.add_parser("demo", help="tell the whole story step by step, and leave nothing behind")
    demo.set_defaults(run=_demo)
    for name, run, summary in (
        ("up", _up, "start control plane, simulator and operator, and leave them running"),
        ("down", _down, "stop them; their data stays"),
        ("status", _status, "say what runs; exit status 1 unless everything does"),
    ):
        command = commands.add_parser(name, help=summary)
        command.add_argument(
            "--dir", type=Path, default=DEFAULT_FOLDER, help="folder for data, logs and kubeconfig (default: .dev)"
        )
        command.set_defaults(run=run)
        if name in {"up", "status"}:
            command.add_argument(
                "--control-plane-only", action="store_true", help="a bare one: no simulator, no operator"
            )
        if name == "up":
            _add_up_flags(command)
    return top


def _add_up_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--apply",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="with --control-plane-only: manifests to apply before the controllers start; may be repeated",
    )
    command.add_argument("--audit-log", action="store_true", help="record every request to the API server")


def _binaries(arguments: argparse.Namespace) -> int:
    del arguments
    print(find_or_build().folder)
    return 0


def _tools(arguments: argparse.Namespace) -> int:
    del arguments
    print(find_or_build_tools().folder)
    return 0


def _flux(arguments: argparse.Namespace) -> int:
    del arguments
    print(find_or_build_flux().folder)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    del arguments
    return run_demo()


def _up(arguments: argparse.Namespace) -> int:
    if arguments.control_plane_only:
        return _up_control_plane(arguments)
    if arguments.apply:
        print("error: --apply needs --control-plane-only", file=sys.stderr)
        return 2
    environment = Environment(
        arguments.dir,
        dies_with_parent=False,
        binaries=find_or_build(),
        operator_flags=OPERATOR_FLAGS,
        token_lifetime=TOKEN_LIFETIME,
        audit_log=arguments.audit_log,
    )
    if environment.complete():
        _say(f"already up in {environment.folder}; to use it:")
    else:
        environment.start(_timed)
        environment.plane.kubectl("apply", "-n", NAMESPACE, "-f", "-", input=environment.account_manifests())
        environment.plane.kubectl(
            "wait", "-n", NAMESPACE, "--for=condition=Ready", "dispersedaccount/default", "--timeout=60s"
        )
        _say("to use it:")
    print(_usage(environment))
    return 0


def _up_control_plane(arguments: argparse.Namespace) -> int:
    binaries = find_or_build()
    plane = ControlPlane(arguments.dir, binaries=binaries, dies_with_parent=False, audit_log=arguments.audit_log)
    with _timed(f"etcd, kube-apiserver and kube-controller-manager in {plane.folder}"):
        plane.start(apply_before_controllers=arguments.apply)
    _say(f"serving at {plane.base_url}; to use it:")
    print(f"export KUBECONFIG={plane.kubeconfig}\nexport PATH={binaries.folder}:$PATH")
    return 0


def _usage(environment: Environment) -> str:
    """Lines for a shell: exports, and comments on what to do with them."""
    paths = f"{environment.plane.binaries.folder}{os.pathsep}{Path(sys.executable).parent}"
    address = environment.simulator.base_url
    logs = "\n".join(f"#   {part.name:<24} {part.log}" for part in environment.parts())
    return f"""\
export KUBECONFIG={environment.kubeconfig}
export PATH={paths}:$PATH
export SIMULATOR={address}
# The namespace {NAMESPACE} has an account and its Secret. Run a job, read its output, and let it go:
#   kubectl apply -f {REPOSITORY / "manifests" / "samples" / "batch.yaml"}
#   kubectl get djob -w
#   dispersed-operator logs {NAMESPACE}/render-frames
#   kubectl delete djob render-frames
# The simulator speaks the API of the service at {address}; its truth and its faults are under
#   {address}/_sim/jobs and {address}/docs
# Logs:
{logs}
# make down ends everything; the data stays in {environment.folder}."""


def _down(arguments: argparse.Namespace) -> int:
    environment = Environment(arguments.dir)
    stopped = environment.stop()
    _say(f"stopped {', '.join(stopped)}" if stopped else f"nothing was running in {environment.folder}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    environment = Environment(arguments.dir)
    bare: bool = arguments.control_plane_only
    parts = [part for part in environment.parts() if not bare or part.name in STOP_ORDER]
    for part in parts:
        print(f"{part.name:<24} {'not running' if part.pid is None else f'pid {part.pid}'}")
    running = {part.name for part in parts if part.pid is not None}
    if running:
        print(f"{'kubeconfig':<24} {environment.plane.kubeconfig if bare else environment.kubeconfig}")
    if environment.simulator.pid is not None and not bare:
        print(f"{'simulator':<24} {environment.simulator.base_url}")
    if environment.operator.pid is not None and not bare:
        print(f"{'operator':<24} {'ready' if environment.operator.ready() else 'not ready'}")
    return 0 if len(running) == len(parts) else 1


@contextmanager
def _timed(text: str) -> Iterator[None]:
    _say(f"starting {text}")
    started = monotonic()
    yield
    _say(f"  ready after {monotonic() - started:.1f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
