"""The command `dispersed-operator`: what a person or a pod types, and nothing else.

It reads flags, hands over, and turns the errors that a person can mend into one line on standard error. Exit codes: 0
done, 1 it failed, 2 the command line or a setting makes no sense. Invariant: no flag takes a key.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import textwrap
from collections.abc import Sequence

from dispersed_operator import __version__
from dispersed_operator.config import Settings, default_text, flag_name, load_settings, variable_name
from dispersed_operator.direct import KeyAtHand, load_key
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
  check     say whether all is there that an installation needs: cluster, rights, keys; changes nothing
  logs      print the output of a job's run, also of a job that ended
  reap      show remote jobs that nobody will end any more, and end them with --yes; needs only an API key
  conformance
            check that the service behaves as the operator relies on; needs only an API key
  uninstall-check
            say whether the operator may be uninstalled: not while a DispersedJob needs it
  version   print the version

examples:
  dispersed-operator run                                 in a pod, with its service account
  dispersed-operator run --kubeconfig ~/.kube/config --namespaces team-a,team-b --log-format text
  kubectl -n dispersed-system exec deploy/dispersed-operator -- dispersed-operator check
  dispersed-operator logs team-a/train                   the newest run of the job "train"
  dispersed-operator logs team-a/train --run 0a1b2c3d-…  one run by its uuid
  dispersed-operator reap                                what has outlived the lifetime in its title
  dispersed-operator reap --cluster-id 8f4c2f6e-… --all --yes
                                                         end every job of a cluster that is gone
  dispersed-operator conformance --base-url https://api.dispersed.com

environment:
  Each flag of "run" has a variable: --health-port is DISPERSED_OPERATOR_HEALTH_PORT. A flag
  wins over its variable. "run --help" lists them all. "reap" and "conformance" take the key
  from DISPERSED_PUBLIC_KEY and DISPERSED_SECRET_KEY, or from files.

exit codes:
  0 done    1 it failed    2 the command line or a setting makes no sense
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; `arguments` are those of the process by default. Returns the exit code."""
    parsed = build_parser().parse_args(arguments)
    try:
        if parsed.command == "run":
            return _run(parsed)
        if parsed.command == "check":
            return _check(parsed)
        if parsed.command == "logs":
            return _logs(parsed)
        if parsed.command == "reap":
            return _reap(parsed)
        if parsed.command == "conformance":
            return _conformance(parsed)
        if parsed.command == "uninstall-check":
            return _uninstall_check(parsed)
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
    _add_check(commands)
    _add_logs(commands)
    _add_reap(commands)
    _add_conformance(commands)
    _add_uninstall_check(commands)
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


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser(
        "check",
        usage="dispersed-operator check [flags]",
        description="Say of everything that an installation needs whether it is there: API server, cluster id, kinds, "
        "rights, namespaces, and for each account the Secret, the service, the key and the clock. Changes nothing. "
        "Rights are those of whoever runs it: run it in the operator's pod. Exit code 1 if something is missing.",
        allow_abbrev=False,
    )
    _add_output(check)
    _add_settings(check, "namespaces", "operator_namespace", "cluster_id", "leader_elect", "orphan_policy")
    _add_settings(check, "max_clock_offset_seconds")
    _add_settings(check, "kubeconfig", "context", "kube_proxy", "remote_proxy", "remote_ca_file")


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
    _add_settings(logs, "kubeconfig", "context", "operator_namespace", "remote_proxy", "remote_ca_file", "kube_proxy")


def _add_reap(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    reap = commands.add_parser(
        "reap",
        usage="dispersed-operator reap [--yes] [--cluster-id ID] [--namespace NAME] [--all] [flags]",
        description="Show the live remote jobs of an account that carry an operator's title, and which of them the "
        "lifetime in the title has ended by the service's clock. With --yes cancel those and wait for their end. "
        "Exit code 1 if one of them may still be alive.",
        allow_abbrev=False,
    )
    _add_key(reap)
    reap.add_argument("--yes", action="store_true", help="do it; without it nothing is changed")
    reap.add_argument("--cluster-id", dest="reaped_cluster", metavar="ID", help="only jobs of the cluster with this id")
    reap.add_argument(
        "--namespace", metavar="NAME", help="only jobs of DispersedJobs of this namespace; reads the cluster"
    )
    reap.add_argument(
        "--all",
        dest="everything",
        action="store_true",
        help="also what has not expired or never does; needs --cluster-id or --namespace",
    )
    reap.add_argument(
        "--honour-kept",
        action="store_true",
        help="read the cluster's DispersedOrphans, and leave alone what one of them says to Keep",
    )
    reap.add_argument(
        "--wait-seconds",
        type=_seconds,
        default=180.0,
        metavar="SECONDS",
        help="how long to wait for the end of a job that was cancelled (default: 180)",
    )
    _add_output(reap)
    _add_settings(reap, "kubeconfig", "context", "remote_proxy", "remote_ca_file", "kube_proxy")


def _add_conformance(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    conformance = commands.add_parser(
        "conformance",
        usage="dispersed-operator conformance [flags]",
        description="Check that the service behaves as the operator relies on. Only reads; creates no job. Exit code "
        "1 if something differs that safety rests on.",
        allow_abbrev=False,
    )
    _add_key(conformance)
    _add_output(conformance)
    _add_settings(conformance, "max_clock_offset_seconds", "remote_proxy", "remote_ca_file")


def _add_uninstall_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser(
        "uninstall-check",
        usage="dispersed-operator uninstall-check [--cancel] [flags]",
        description="Say which DispersedJobs still need the operator: those that live, and those that it may yet "
        "create. With --cancel delete them, and wait until the operator has ended them. Exit code 1 if it must stay.",
        allow_abbrev=False,
    )
    check.add_argument("--cancel", action="store_true", help="delete what is not over; without it nothing is changed")
    check.add_argument(
        "--wait-seconds",
        type=_seconds,
        default=240.0,
        metavar="SECONDS",
        help="how long to wait for the end of what was deleted (default: 240)",
    )
    _add_settings(check, "namespaces", "kubeconfig", "context", "kube_proxy")


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base-url", metavar="URL", help="address of the API [DISPERSED_BASE_URL]")
    for half in ("public", "secret"):
        parser.add_argument(
            f"--{half}-key-file",
            metavar="FILE",
            help=f"file with the {half} key; without it the key is taken from DISPERSED_{half.upper()}_KEY "
            f"[DISPERSED_{half.upper()}_KEY_FILE]",
        )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="form of the output")


def _add_settings(parser: argparse.ArgumentParser, *fields: str) -> None:
    for field in fields:
        parser.add_argument(
            flag_name(field),
            dest=field,
            metavar="VALUE",
            default=argparse.SUPPRESS,
            help=f"{Settings.model_fields[field].description} [{variable_name(field)}]",
        )


def _seconds(text: str) -> float:
    """A number of seconds above 0, as argparse wants it."""
    seconds = float(text)
    if not 0 < seconds < 86_400:
        raise ValueError(text)
    return seconds


def _settings(parsed: argparse.Namespace) -> Settings:
    return load_settings({name: text for name, text in vars(parsed).items() if name in Settings.model_fields})


def _run(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    from dispersed_operator.app import run  # noqa: PLC0415 - help and refused settings need not load the whole operator

    return run(settings)


def _check(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    from dispersed_operator.check_command import check  # noqa: PLC0415 - as above

    return asyncio.run(check(settings, as_json=parsed.output == "json"))


def _logs(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    from dispersed_operator.job_logs import read_run_output  # noqa: PLC0415 - as above

    output = asyncio.run(read_run_output(settings, job=parsed.job, run_uuid=parsed.run_uuid))
    sys.stdout.write(output if output.endswith("\n") or not output else f"{output}\n")
    return 0


def _reap(parsed: argparse.Namespace) -> int:
    if parsed.everything and not (parsed.reaped_cluster or parsed.namespace):
        raise SettingsError("--all needs --cluster-id or --namespace: one account may serve several clusters")
    settings, key = _settings(parsed), _key(parsed)
    from dispersed_operator.reap_command import reap  # noqa: PLC0415 - as above

    return asyncio.run(
        reap(
            settings,
            key,
            cluster_id=parsed.reaped_cluster,
            namespace=parsed.namespace,
            everything=parsed.everything,
            honour_kept=parsed.honour_kept,
            apply=parsed.yes,
            patience=parsed.wait_seconds,
            as_json=parsed.output == "json",
        )
    )


def _conformance(parsed: argparse.Namespace) -> int:
    settings, key = _settings(parsed), _key(parsed)
    from dispersed_operator.conformance import report_conformance  # noqa: PLC0415 - as above

    return asyncio.run(report_conformance(settings, key, as_json=parsed.output == "json"))


def _uninstall_check(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    from dispersed_operator.uninstall_command import check_uninstall  # noqa: PLC0415 - as above

    return asyncio.run(check_uninstall(settings, cancel=parsed.cancel, patience=parsed.wait_seconds))


def _key(parsed: argparse.Namespace) -> KeyAtHand:
    return load_key(
        base_url=parsed.base_url, public_key_file=parsed.public_key_file, secret_key_file=parsed.secret_key_file
    )
