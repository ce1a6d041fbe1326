"""The simulator's settings from the command line; what makes no sense is refused with one clear line."""

from __future__ import annotations

import argparse
import ipaddress
from dataclasses import dataclass, field, fields
from pathlib import Path

from dispersed_simulator.records import DEMO_ACCOUNT, ApiKey, Timing
from dispersed_simulator.switches import describe_switches, parse_assignment
from dispersed_simulator.wire import JsonObject

DEMO_KEY = "pk_sim_demo:sk_sim_demo"


class SettingsError(Exception):
    """A setting that makes no sense."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How this simulator process runs. clock_rate None: as saved, else 1."""

    host: str = "127.0.0.1"
    port: int = 0
    port_file: Path | None = None
    state_file: Path | None = None
    keys: tuple[ApiKey, ...] = ()
    latency_seconds: float = 0.0
    real_endpoints: bool = True
    seed: int | None = None
    control: bool = True
    clock_rate: float | None = None
    timing: Timing = field(default_factory=Timing)
    switches: JsonObject = field(default_factory=dict)


_TIMING_HELP = {
    "assign_seconds": "PENDING until a node is found",
    "accept_seconds": "ASSIGNED until the node starts to prepare",
    "prepare_seconds": "PREPARING until RUNNING (the image pull)",
    "run_seconds": "run time of a BATCH container",
    "endpoints_seconds": "RUNNING until the endpoints exist",
    "cancel_seconds": "CANCELLING until CANCELLED",
    "hourly_rate_usd": "price of a node per hour in US dollars",
}


def _switch_summary() -> str:
    """Every switch in the form that --switch takes."""
    defaults = ((row["name"], row["default"], row["reference"]) for row in describe_switches())
    return "; ".join(
        f"{name}={str(value).lower() if isinstance(value, bool) else value} ({place})"
        for name, value, place in defaults
    )


def build_parser() -> argparse.ArgumentParser:
    """The command line of dispersed-simulator."""
    parser = argparse.ArgumentParser(
        prog="dispersed-simulator",
        description="A stand-in for the Dispersed compute API that checks signatures, bills jobs and misbehaves on "
        "request. Its OpenAPI document is at /openapi.json, its control surface under /_sim/.",
        epilog=f"switches, each with its default and its place in the API reference: {_switch_summary()}",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=0, help="port to listen on; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument("--port-file", type=Path, metavar="FILE", help="write the base URL here when listening")
    parser.add_argument("--state-file", type=Path, metavar="FILE", help="keep the state here across restarts")
    parser.add_argument("--key", action="append", metavar="PUBLIC:SECRET[:ACCOUNT]",
                        help=f"an API key; repeatable (default: {DEMO_KEY})")  # fmt: skip
    parser.add_argument("--latency-ms", type=float, default=0.0, help="delay of every answer (default: %(default)s)")
    parser.add_argument("--endpoints", action=argparse.BooleanOptionalAction, default=True,
                        help="open real listeners on loopback for published ports")  # fmt: skip
    parser.add_argument("--seed", type=int, help="makes ids and chances repeatable")
    parser.add_argument("--control", action=argparse.BooleanOptionalAction, default=None,
                        help="serve /_sim/ (default: only on a loopback address)")  # fmt: skip
    parser.add_argument(
        "--clock-rate", type=float, help="simulated seconds per real second (default: as saved, else 1)"
    )
    parser.add_argument("--switch", action="append", default=[], metavar="NAME=VALUE", help="set a switch; repeatable")
    for spec in fields(Timing):
        parser.add_argument(f"--{spec.name.replace('_', '-')}", type=float, default=spec.default,
                            help=f"{_TIMING_HELP[spec.name]} (default: %(default)s)")  # fmt: skip
    return parser


def parse_settings(arguments: list[str]) -> Settings:
    """Settings from arguments. Raises SettingsError; exits for --help and unknown options as argparse does."""
    options = build_parser().parse_args(arguments)
    if not 0 <= options.port <= 65_535:
        raise SettingsError(f"--port {options.port} is not between 0 and 65535")
    for name in ("latency_ms", *(spec.name for spec in fields(Timing))):
        if getattr(options, name) < 0:
            raise SettingsError(f"--{name.replace('_', '-')} must not be negative")
    if options.clock_rate is not None and options.clock_rate < 0:
        raise SettingsError("--clock-rate must not be negative")
    for path in (options.port_file, options.state_file):
        if path is not None and not path.parent.is_dir():
            raise SettingsError(f"there is no directory {path.parent} for {path.name}")
    switches: JsonObject = {}
    for text in options.switch:
        try:
            switches |= parse_assignment(text)
        except ValueError as error:
            raise SettingsError(f"--switch: {error}") from None
    return Settings(
        host=options.host,
        port=options.port,
        port_file=options.port_file,
        state_file=options.state_file,
        keys=_parse_keys(options.key or [DEMO_KEY]),
        latency_seconds=options.latency_ms / 1000,
        real_endpoints=options.endpoints,
        seed=options.seed,
        control=is_loopback(options.host) if options.control is None else options.control,
        clock_rate=options.clock_rate,
        timing=Timing(**{spec.name: getattr(options, spec.name) for spec in fields(Timing)}),
        switches=switches,
    )


def _parse_keys(texts: list[str]) -> tuple[ApiKey, ...]:
    keys: dict[str, ApiKey] = {}
    for number, text in enumerate(texts, start=1):
        public, _, rest = text.partition(":")
        secret, _, account = rest.partition(":")
        if not public or not secret:
            raise SettingsError(f"--key number {number} is not written PUBLIC:SECRET[:ACCOUNT]")
        if public in keys:
            raise SettingsError(f"--key number {number} repeats the public part {public}")
        keys[public] = ApiKey(public, secret, account or DEMO_ACCOUNT)
    return tuple(keys.values())


def is_loopback(host: str) -> bool:
    """True if an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
