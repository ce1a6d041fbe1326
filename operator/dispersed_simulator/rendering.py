"""Jobs and runs as the API shows them (API reference §5.2, §6.3), in the reading that the switches choose.

Invariant: a registry password never leaves the simulator; `logs` stand only on the answer for a single run.
"""

from __future__ import annotations

from dispersed_simulator.listing import shown_status
from dispersed_simulator.records import Job, NodeUrl, Run
from dispersed_simulator.switches import Switches
from dispersed_simulator.wire import JsonObject, JsonValue, to_date, to_rfc3339

MASK = "********"
_TIE_STEPS = {"none": 1, "second": 1000, "minute": 60_000}
_DEFAULTS: JsonObject = {
    "cpu_count": 0, "gpu_count": 0, "min_ram_gb": 0, "min_vram_gb": 0, "min_storage_gb": 0,
    "max_timeout_assign_ms": 300_000, "max_timeout_start_ms": 300_000, "max_timeout_run_ms": None,
    "max_retry_count": 0, "max_node_count": 1, "gpu_name": None, "gpu_registry_uuid": None, "allowed_region_codes": [],
}  # fmt: skip


def _instant(at_ms: int | None) -> str | None:
    return None if at_ms is None else to_rfc3339(at_ms)


def _head(kind: str, row: Job | Run, switches: Switches) -> JsonObject:
    head: JsonObject = {"object": kind, "uuid": row.uuid, "updated_at": to_rfc3339(row.updated_ms)}
    if switches.account_uuid_shown:
        head["account_uuid"] = row.account_uuid
    step = _TIE_STEPS[switches.created_at_ties]
    created_ms = row.created_ms // step * step
    shapes: dict[str, str | None] = {
        "datetime": to_rfc3339(created_ms), "date": to_date(created_ms), "null": None,
    }  # fmt: skip
    if switches.created_at_format in shapes:
        head["created_at"] = shapes[switches.created_at_format]
    return head


def _cut_title(title: str, switches: Switches) -> str:
    return title[: switches.title_max_length] if switches.title_max_length else title


def _echo_container(container: JsonObject, switches: Switches) -> JsonObject:
    echo = dict(container)
    if echo.get("secret"):
        echo["secret"] = MASK
    volumes = echo.get("volumes")
    if isinstance(volumes, list):
        echo["volumes"] = [
            volume | {"secret": MASK} if isinstance(volume, dict) and volume.get("secret") else volume
            for volume in volumes
        ]
    env = echo.get("env")
    if switches.env_echo == "dropped":
        echo.pop("env", None)
    elif switches.env_echo == "masked" and isinstance(env, dict):
        echo["env"] = dict.fromkeys(env, MASK)
    return echo


def render_job(job: Job, switches: Switches) -> JsonObject:
    """The Job object."""
    row = _head("job", job, switches)
    row |= {name: job.body.get(name, default) for name, default in _DEFAULTS.items()}
    row |= {
        "status": shown_status(job, switches),
        "status_reason": job.status_reason,
        "task": job.task,
        "title": _cut_title(job.title, switches),
        "started_at": _instant(job.started_ms),
        "completed_at": _instant(job.completed_ms),
        "timeout_assign_at_ms": job.pending_since_ms + job.number("max_timeout_assign_ms", 300_000),
        "source_recipe_uuid": None,
        "image_size_bytes": None,
    }
    if isinstance(job.body.get("parameters"), dict):
        row["parameters"] = {"type": "docker", "parameters": _echo_container(job.container, switches)}
    if switches.description_echo == "full":
        row["description"] = job.description
    if switches.access_tokens_on in {"job", "both"}:
        row["container_access_tokens"] = [token for run in job.runs for token in _tokens(run, switches)]
    return row


def _tokens(run: Run, switches: Switches) -> list[JsonValue]:
    return [run.access_token if switches.access_tokens_as == "strings" else {"token": run.access_token}]


def _node_url(url: NodeUrl, switches: Switches) -> JsonObject:
    descriptions: dict[str, JsonValue] = {
        "text": str(url.container_port), "int": url.container_port, "tcp": f"{url.container_port}/tcp",
    }  # fmt: skip
    ports: dict[str, JsonValue] = {"int": url.port, "text": str(url.port), "float": float(url.port)}
    entry: JsonObject = {
        "description": "ssh" if url.container_port == 22 else descriptions[switches.node_url_description],
        "hostname": url.hostname,
        "port": ports[switches.node_url_port],
        "protocol": "tcp",
    }
    if switches.node_url_tls == "false":
        entry["tls"] = False
    return entry


def render_run(run: Run, job: Job, switches: Switches, *, now_ms: int, with_logs: bool) -> JsonObject:
    """The Job Run object; logs only if asked for."""
    row = _head("job_run", run, switches)
    row |= {
        "status": run.status if run.status != "CANCELLING" or switches.has_cancelling else shown_status(job, switches),
        "status_reason": run.status_reason,
        "job_uuid": run.job_uuid,
        "started_at_ms": run.started_ms,
        "ended_at_ms": run.ended_ms,
        "duration_ms": run.duration_ms(now_ms),
    }
    if switches.job_snapshot_shown:
        row["job_snapshot"] = {"uuid": job.uuid, "title": _cut_title(job.title, switches)}
    if switches.hourly_rate_shown:
        row["hourly_rate_usd"] = run.hourly_rate_usd
    if switches.access_tokens_on in {"run", "both"}:
        row["container_access_tokens"] = _tokens(run, switches)
    if run.published and run.node_urls:
        row["node_urls"] = [_node_url(url, switches) for url in run.node_urls]
    elif switches.node_urls_before != "missing":
        row["node_urls"] = [] if switches.node_urls_before == "empty" else None
    if with_logs and switches.logs_as != "missing":
        row["logs"] = _logs(log_lines(run, job), switches)
    return row


def log_lines(run: Run, job: Job) -> list[str]:
    """What the container has written so far: always the same for the same state, the exit code last."""
    if run.started_ms is None:
        return []
    lines = [f"{to_rfc3339(run.started_ms)} starting {job.container.get('image', '')} (run {run.number})"]
    if job.fate.log_lines is not None:
        lines.extend(job.fate.log_lines)
    else:
        lines.extend((f"job {job.uuid}", f"title {job.title}", "working"))
    if run.ended_ms is not None:
        ending = f"exit code {run.exit_code}" if run.exit_code is not None else f"stopped: {run.status_reason}"
        lines.append(f"{to_rfc3339(run.ended_ms)} {ending}")
    return lines


def _logs(lines: list[str], switches: Switches) -> JsonValue:
    shapes: dict[str, JsonValue] = {
        "text": "".join(f"{line}\n" for line in lines),
        "lines": [*lines],
        "objects": [{"message": line} for line in lines],
        "null": None,
    }
    return shapes[switches.logs_as]
