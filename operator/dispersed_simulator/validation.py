"""The rules for the body of a create (API reference §5.1), each problem named by its field.

Invariant: a body that passes has whole numbers, texts and lists where the reference says so, and nothing was changed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from uuid import UUID

from dispersed_simulator.wire import JsonObject, JsonValue

MINIMUMS: dict[str, int] = {
    "max_timeout_run_ms": 60_000,
    "max_timeout_assign_ms": 300_000,
    "max_timeout_start_ms": 120_000,
    "max_retry_count": 0,
    "max_node_count": 1,
    "cpu_count": 0,
    "gpu_count": 0,
    "min_ram_gb": 0,
    "min_storage_gb": 0,
    "min_vram_gb": 0,
}
LARGEST = 9_007_199_254_740_991
JOB_FIELDS = frozenset({
    "task", "title", "description", "gpu_name", "gpu_registry_uuid", "allowed_region_codes", "parameters", *MINIMUMS,
})  # fmt: skip
CONTAINER_FIELDS = frozenset({
    "image", "tag", "imagesrc", "host", "user", "secret", "env", "ports", "sshkey", "allowed_ips", "volumes",
})  # fmt: skip
VOLUME_FIELDS = ("image", "tag", "registry", "user", "secret", "mount")
_REGION = re.compile(r"^[a-z]{2}-[a-z]+-\d$")

Report = Callable[[str, str], None]


def find_problems(body: JsonValue, *, refuse_unknown: bool) -> list[JsonObject]:
    """All problems of a create body as {field, message}; an empty list means that the body is valid."""
    problems: list[JsonObject] = []

    def report(field: str, message: str) -> None:
        problems.append({"field": field, "message": message})

    if not isinstance(body, dict):
        report("", "the body must be a JSON object")
        return problems
    _check_head(body, report)
    _check_numbers(body, report)
    _check_placement(body, report)
    container = _check_parameters(body.get("parameters"), report)
    if container is not None:
        _check_container(container, report)
        _check_access(container, report)
    if refuse_unknown:
        for name in sorted(set(body) - JOB_FIELDS):
            report(name, "unknown field")
        for name in sorted(set(container or {}) - CONTAINER_FIELDS):
            report(f"parameters.parameters.{name}", "unknown field")
    return problems


def find_login_problems(body: JsonValue, private_registry: str) -> list[JsonObject]:
    """What a valid body would pull from the private registry, `host user secret`, without its login; "" is no
    registry."""
    host, _, login = private_registry.partition(" ")
    user, _, secret = login.partition(" ")
    container = _container_of(body)
    if not host or container is None:
        return []
    problems: list[JsonObject] = []
    volumes = container.get("volumes")
    wanted = [("image", "host", container)]
    for index, volume in enumerate(volumes if isinstance(volumes, list) else ()):
        if isinstance(volume, dict):
            wanted.append((f"volumes[{index}]", "registry", volume))
    for name, host_field, item in wanted:
        named = item.get(host_field) or str(item.get("image", "")).partition("/")[0]
        if named == host and (item.get("user"), item.get("secret")) != (user, secret):
            problems.append({"field": f"parameters.parameters.{name}", "message": f"{host} refuses {item.get('user')}"})
    return problems


def _container_of(body: JsonValue) -> JsonObject | None:
    outer = body.get("parameters") if isinstance(body, dict) else None
    container = outer.get("parameters") if isinstance(outer, dict) else None
    return container if isinstance(container, dict) else None


def _check_head(body: JsonObject, report: Report) -> None:
    if body.get("task", "BATCH") not in {"BATCH", "PERSISTENT"}:
        report("task", "must be BATCH or PERSISTENT")
    title = body.get("title")
    if not isinstance(title, str) or not title:
        report("title", "must be a non-empty text")
    if not isinstance(body.get("description", ""), str):
        report("description", "must be a text")


def _check_numbers(body: JsonObject, report: Report) -> None:
    persistent = body.get("task") == "PERSISTENT"
    if persistent and body.get("max_timeout_run_ms") is not None:
        report("max_timeout_run_ms", "must be null for a PERSISTENT job")
    if not persistent and body.get("max_timeout_run_ms") is None:
        report("max_timeout_run_ms", "is required for a BATCH job")
    for name, least in MINIMUMS.items():
        value = body.get(name)
        if name not in body or (name == "max_timeout_run_ms" and (persistent or value is None)):
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            report(name, "must be a whole number")
        elif not least <= value <= LARGEST:
            report(name, f"must be between {least} and {LARGEST}")


def _check_placement(body: JsonObject, report: Report) -> None:
    for name in ("gpu_name", "gpu_registry_uuid"):
        if name in body and not isinstance(body[name], str):
            report(name, "must be a text")
    if body.get("gpu_name") and body.get("gpu_registry_uuid"):
        report("gpu_name", "gpu_name and gpu_registry_uuid exclude each other")
    registry = body.get("gpu_registry_uuid")
    if isinstance(registry, str) and not _is_uuid(registry):
        report("gpu_registry_uuid", "must be a uuid")
    regions = body.get("allowed_region_codes", [])
    if not isinstance(regions, list) or not all(isinstance(code, str) and _REGION.match(code) for code in regions):
        report("allowed_region_codes", "must be a list of region codes")


def _check_parameters(parameters: JsonValue, report: Report) -> JsonObject | None:
    if not isinstance(parameters, dict):
        report("parameters", "must be an object")
        return None
    if parameters.get("type") != "docker":
        report("parameters.type", "must be docker")
    container = parameters.get("parameters")
    if not isinstance(container, dict):
        report("parameters.parameters", "must be an object")
        return None
    return container


def _check_container(container: JsonObject, report: Report) -> None:
    prefix = "parameters.parameters"
    image = container.get("image")
    if not isinstance(image, str) or not image:
        report(f"{prefix}.image", "must be a non-empty text")
    elif ":" in image.rsplit("/", 1)[-1]:
        report(f"{prefix}.image", "must not contain a tag; give it as tag")
    for name in ("tag", "imagesrc", "host", "user", "secret", "sshkey"):
        if not isinstance(container.get(name, ""), str):
            report(f"{prefix}.{name}", "must be a text")
    env = container.get("env", {})
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        report(f"{prefix}.env", "must be an object of texts")


def _check_access(container: JsonObject, report: Report) -> None:
    prefix = "parameters.parameters"
    ports = container.get("ports", [])
    if not isinstance(ports, list) or not all(_is_port(port) for port in ports):
        report(f"{prefix}.ports", "must be a list of whole numbers from 1 to 65535")
    allowed = container.get("allowed_ips", [])
    if not isinstance(allowed, list) or not all(_is_network(item) for item in allowed):
        report(f"{prefix}.allowed_ips", "must be a list of CIDRs")
    volumes = container.get("volumes", [])
    if not isinstance(volumes, list) or not all(_is_volume(item) for item in volumes):
        report(f"{prefix}.volumes", "must be a list of objects with image and mount")


def _is_port(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65_535


def _is_network(value: JsonValue) -> bool:
    if not isinstance(value, str):
        return False
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return True


def _is_volume(value: JsonValue) -> bool:
    if not isinstance(value, dict) or not all(isinstance(value.get(name, ""), str) for name in VOLUME_FIELDS):
        return False
    return bool(value.get("image")) and bool(value.get("mount"))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
