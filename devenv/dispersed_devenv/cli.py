"""The command line of the development environment: `python -m dispersed_devenv`."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dispersed_devenv.binaries import NoControlPlaneError, find_or_build
from dispersed_devenv.controlplane import STOP_ORDER, AlreadyRunningError, ControlPlane, KubectlError
from dispersed_devenv.processes import ProcessError

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DEFAULT_FOLDER = REPOSITORY / ".dev"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand. Exit status 0 when it did what it says, 1 with a reason on standard error, 2 for usage,
    130 when interrupted.
    """
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except (NoControlPlaneError, AlreadyRunningError, ProcessError, KubectlError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dispersed_devenv",
        description="A real Kubernetes control plane on loopback for development, demo and tests.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    binaries = commands.add_parser("binaries", help="find or build the programs and print their folder")
    binaries.set_defaults(run=_binaries)
    for name, run, summary in (
        ("up", _up, "start a control plane and leave it running"),
        ("down", _down, "stop it; its data stays"),
        ("status", _status, "say what runs; exit status 1 unless everything does"),
    ):
        command = commands.add_parser(name, help=summary)
        command.add_argument(
            "--dir", type=Path, default=DEFAULT_FOLDER, help="folder for data, logs and kubeconfig (default: .dev)"
        )
        command.set_defaults(run=run)
        if name == "up":
            command.add_argument(
                "--apply",
                type=Path,
                action="append",
                default=[],
                metavar="PATH",
                help="manifests to apply before the controllers start; may be repeated",
            )
            command.add_argument("--audit-log", action="store_true", help="record every request to the API server")
    return parser


def _binaries(arguments: argparse.Namespace) -> int:
    del arguments
    print(find_or_build().folder)
    return 0


def _up(arguments: argparse.Namespace) -> int:
    binaries = find_or_build()
    plane = ControlPlane(arguments.dir, binaries=binaries, dies_with_parent=False, audit_log=arguments.audit_log)
    _say(f"starting etcd, kube-apiserver and kube-controller-manager in {plane.folder}")
    started = time.monotonic()
    plane.start(apply_before_controllers=arguments.apply)
    _say(f"ready after {time.monotonic() - started:.1f} s at {plane.base_url}; to use it:")
    print(f"export KUBECONFIG={plane.kubeconfig}\nexport PATH={binaries.folder}:$PATH")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    plane = ControlPlane(arguments.dir)
    running = plane.pids()
    plane.stop()
    _say(f"stopped {', '.join(running)}" if running else f"nothing was running in {plane.folder}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    plane = ControlPlane(arguments.dir)
    running, memory = plane.pids(), plane.resident_bytes()
    for name in reversed(STOP_ORDER):
        state = f"pid {running[name]}, {memory[name] // 2**20} MiB" if name in running else "not running"
        print(f"{name:<24} {state}")
    if running:
        print(f"{'kubeconfig':<24} {plane.kubeconfig}")
    return 0 if len(running) == len(STOP_ORDER) else 1


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
