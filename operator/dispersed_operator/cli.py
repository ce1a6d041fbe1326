"""The command `dispersed-operator`: what a person or a pod types, and nothing else.

It reads flags, hands over, and turns the errors that a person can mend into one line on standard error. Exit codes: 0
done, 1 it failed, 2 the command line or a setting makes no sense.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import textwrap
from collections.abc import Sequence

from dispersed_operator import __version__
from dispersed_operator.config import Settings, default_text, flag_name, load_settings, variable_name
from dispersed_operator.errors import OperatorError, SettingsError

_ABOUT = """\
Runs GPU jobs on the Dispersed network from Kubernetes resources.

A DispersedJob that is applied becomes one remote job: never two, also across crashes, lost
answers and rival processes. A DispersedJob that is deleted goes only when its remote job has
verifiably ended.
"""

_EXAMPLES = """\
commands:
  run       watch DispersedJobs and DispersedAccounts and reconcile them, until SIGTERM
  logs      print the output of a job's run, also of a job that ended
  version   print the version

examples:
  dispersed-operator run                                 in a pod, with its service account
  dispersed-operator run --kubeconfig ~/.kube/config --namespaces team-a,team-b --log-format text
  dispersed-operator logs team-a/train                   the newest run of the job "train"
  dispersed-operator logs team-a/train --run 0a1b2c3d-…  one run by its uuid

environment:
  Each flag of "run" has a variable: --health-port is DISPERSED_OPERATOR_HEALTH_PORT. A flag
  wins over its variable. "run --help" lists them all.

exit codes:
  0 done    1 it failed    2 the command line or a setting makes no sense
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; `arguments` are those of the process by default. Returns the exit code."""
    parsed = build_parser().parse_args(arguments)
    try:
        if parsed.command == "run":
            return _run(parsed)
        if parsed.command == "logs":
            return _logs(parsed)
    except SettingsError as error:
        print(f"dispersed-operator: {error}", file=sys.stderr)
        return 2
    except OperatorError as error:
        print(f"dispersed-operator: {error}", file=sys.stderr)
        return 1
    print(f"dispersed-operator {__version__}")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; the flags of `run` are those of `Settings`."""
    parser = argparse.ArgumentParser(
        prog="dispersed-operator",
        usage="dispersed-operator COMMAND [flags]",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", help=argparse.SUPPRESS)
    _add_run(commands)
    _add_logs(commands)
    commands.add_parser("version", description="Print the version.", allow_abbrev=False)
    return parser


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser(
        "run",
        usage="dispersed-operator run [flags]",
        description="Watch DispersedJobs and DispersedAccounts and reconcile them, until SIGTERM or SIGINT.",
        formatter_class=argparse.RawTextHelpFormatter,
        allow_abbrev=False,
    )
    for field, info in Settings.model_fields.items():
        default = default_text(info)
        words = f"{info.description}{f' Default: {default}.' if default else ''}"
        run.add_argument(
            flag_name(field),
            dest=field,
            metavar="VALUE",
            default=argparse.SUPPRESS,
            help=textwrap.fill(words, 90, break_on_hyphens=False).replace("%", "%%") + f"\n[{variable_name(field)}]\n",
        )


def _add_logs(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    logs = commands.add_parser(
        "logs",
        usage="dispersed-operator logs NAMESPACE/NAME [--run UUID] [flags]",
        description="Print the output of a job's run to standard output, also of a job that ended. Reads the "
        "DispersedJob, its account and the account's Secret with your own rights.",
        allow_abbrev=False,
    )
    logs.add_argument("job", metavar="NAMESPACE/NAME", help="the DispersedJob")
    logs.add_argument("--run", dest="run_uuid", metavar="UUID", help="uuid of the run; the newest by default")
    for field in ("kubeconfig", "context", "remote_proxy", "remote_ca_file", "kube_proxy"):
        logs.add_argument(
            flag_name(field),
            dest=field,
            metavar="VALUE",
            default=argparse.SUPPRESS,
            help=f"{Settings.model_fields[field].description} [{variable_name(field)}]",
        )


def _settings(parsed: argparse.Namespace) -> Settings:
    return load_settings({name: text for name, text in vars(parsed).items() if name in Settings.model_fields})


def _run(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    from dispersed_operator.app import run  # noqa: PLC0415 - help and refused settings need not load the whole operator

    return run(settings)


def _logs(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    from dispersed_operator.job_logs import read_run_output  # noqa: PLC0415 - as above

    output = asyncio.run(read_run_output(settings, job=parsed.job, run_uuid=parsed.run_uuid))
    sys.stdout.write(output if output.endswith("\n") or not output else f"{output}\n")
    return 0
