"""One switch for each point on which the public sources leave the service's behaviour open (API reference §17-§18).

A client is robust when it passes under every setting. The default is the reading that the reference recommends. Each
field's metadata holds the section of the reference, one sentence of meaning and, for closed sets, the choices.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from dispersed_simulator.wire import JsonObject, JsonValue

T = TypeVar("T", bool, int, float, str)


def _switch(default: T, ref: str, doc: str, *choices: T) -> T:
    value: Any = field(default=default, metadata={"ref": ref, "doc": doc, "choices": choices})
    return value  # type: ignore[no-any-return]  # dataclasses.field() is typed by its default


@dataclass(slots=True)
class Switches:
    """The simulator's readings of the uncertain points; mutable, because tests turn them while it runs."""

    # Authentication
    body_reading: str = _switch("any", "§2.5", "Which canonical body is hashed.", "any", "escaped", "raw", "bytes")
    space_encoding: str = _switch("any", "§2.3", "How a space in a query value is signed.", "any", "percent", "plus")
    time_window_enforced: bool = _switch(True, "§2.6", "A request outside the time window is refused.")
    time_window_seconds: int = _switch(300, "§2.6", "Largest distance of X-Time from the server's clock.")
    replay_refused: bool = _switch(True, "§2.6", "A nonce that was used before is refused.")
    nonce_scope: str = _switch("key", "§2.6", "Whose nonces are compared.", "key", "global")
    nonce_memory_seconds: int = _switch(86_400, "§2.6", "How long a nonce is remembered.")
    rejected_consumes_nonce: bool = _switch(False, "§2.6", "A request with a bad signature or time uses up its nonce.")
    nonce_store_atomic: bool = _switch(True, "§2.6", "False: copies that arrive together are both accepted.")
    nonce_store_delay_ms: int = _switch(200, "§2.6", "Not atomic: a nonce is visible only after this time.")
    nonce_replay_status: int = _switch(401, "§2.7", "Answer to a replayed nonce.", 401, 409, 400)
    auth_failure_status: int = _switch(401, "§2.7", "Answer to every other failed authentication.", 401, 403, 400)
    auth_error_code: str = _switch(
        "specific", "§2.7", "Code in a refusal: one per cause, one for all, or none.", "specific", "generic", "none"
    )

    # Errors
    error_envelope: str = _switch(
        "nested", "§3.4", "Shape of an error body.",
        "nested", "code_message", "message", "string", "detail", "errors", "html",
    )  # fmt: skip
    validation_status: int = _switch(400, "§3.5", "Answer to an invalid body.", 400, 422)

    # Create
    create_status: int = _switch(201, "§3.5", "Status of a successful create.", 201, 200)
    create_wrapped: bool = _switch(False, "§3.1", 'The created job comes inside {"data": …}.')
    uuid_on_create: str = _switch(
        "present", "§3.1", "The uuid in the answer to a create.", "present", "missing", "null"
    )
    initial_status: str = _switch("PENDING", "§5.2", "Status in the answer to a create.", "PENDING", "ASSIGNED")
    unknown_fields: str = _switch("ignore", "§16", "Reaction to an unknown field in a body.", "ignore", "refuse")
    insufficient_funds: str = _switch(
        "402", "§9", "What a create meets when the account is out of funds.", "402", "400", "failed"
    )
    private_registry: str = _switch(
        "", "§5.1", "A private registry as `host user secret`; what is pulled from it without that login is refused."
    )
    default_ports: str = _switch("ssh", "§5.1", "Ports published when none are given.", "ssh", "none")

    # Lists
    list_shape: str = _switch(
        "envelope", "§3.3", "Lists as {data,page,limit,total} or as an array.", "envelope", "array"
    )
    limit_over_50: str = _switch("refuse", "§3.3", "Reaction to limit above 50.", "refuse", "clamp")
    largest_page: int = _switch(50, "§3.3", "No page holds more rows than this, whatever limit is asked.")
    total_counts: str = _switch("all", "§3.3", "total counts all rows, or those of the page.", "all", "page")
    sort_honoured: bool = _switch(True, "§3.3", "False: sort is ignored and the default order is used.")
    default_sort: str = _switch("-created_at", "§3.3", "Order when none is asked.", "-created_at", "created_at")
    unknown_filter: str = _switch("ignore", "§5.3", "Reaction to an unknown filter.", "ignore", "refuse")
    created_at_upper: str = _switch("inclusive", "§5.3", "Upper bound of filter[created_at].", "inclusive", "exclusive")
    created_at_ties: str = _switch("none", "§3.2", "Creation times rounded down.", "none", "second", "minute")
    tie_order: str = _switch("stable", "§3.3", "Rows with equal created_at may change places between pages.",
                             "stable", "unstable")  # fmt: skip
    list_delay_seconds: int = _switch(0, "§18", "A new job appears in lists only after this time.")

    # Cancel
    cancel_status: int = _switch(200, "§3.5", "Status of a cancel; 204 has no body.", 200, 202, 204)
    cancel_result: str = _switch("CANCELLING", "§5.5", "Status right after a cancel.", "CANCELLING", "CANCELLED")
    cancel_of_terminal: int = _switch(200, "§5.5", "Answer to the cancel of a job that has ended.", 200, 404, 409)
    has_cancelling: bool = _switch(True, "§17", "False: a job keeps its old status until it is CANCELLED.")

    # Lifecycle
    job_shows_preparing: bool = _switch(False, "§11.1", "PREPARING is shown on the job too, not only on the run.")
    retry_job_status: str = _switch("PENDING", "§11.3", "Job status between two runs.", "PENDING", "RUNNING")
    run_timeout_result: str = _switch("FAILED", "§11.2", "End of a run that was too long.", "FAILED", "COMPLETED")
    assign_timeout_result: str = _switch("FAILED", "§11.2", "End of a job without a node.", "FAILED", "CANCELLED")
    persistent_exit: str = _switch("same", "§11.2", "A PERSISTENT container exits: judged by its exit code as BATCH, "
                                   "always failed, or restarted.", "same", "failed", "restart")  # fmt: skip

    # Rows
    created_at_format: str = _switch("datetime", "§3.2", "created_at on rows.", "datetime", "date", "missing", "null")
    account_uuid_shown: bool = _switch(True, "§3.1", "Rows carry account_uuid.")
    title_max_length: int = _switch(0, "§18", "Titles are cut to this length; 0 keeps them whole.")
    description_echo: str = _switch("full", "§18", "description on rows.", "full", "dropped")
    env_echo: str = _switch("full", "§5.2", "Container env on rows.", "full", "masked", "dropped")
    access_tokens_as: str = _switch("objects", "§6.3", "Items of container_access_tokens.", "objects", "strings")
    access_tokens_on: str = _switch("run", "§17", "Where container_access_tokens stand.", "run", "job", "both", "none")
    node_url_port: str = _switch("int", "§6.3", "Type of node_urls[].port.", "int", "text", "float")
    node_url_description: str = _switch(
        "text", "§6.3", "node_urls[].description: port as text, as number, or with the protocol.", "text", "int", "tcp"
    )
    node_url_tls: str = _switch("false", "§6.3", "node_urls[].tls.", "false", "missing")
    node_urls_before: str = _switch(
        "empty", "§6.3", "node_urls before the endpoints exist.", "empty", "missing", "null"
    )
    logs_as: str = _switch("text", "§6.2", "Type of logs.", "text", "lines", "objects", "null", "missing")
    hourly_rate_shown: bool = _switch(True, "§6.3", "Runs carry hourly_rate_usd.")
    job_snapshot_shown: bool = _switch(True, "§6.3", "Runs carry job_snapshot.")

    def as_json(self) -> JsonObject:
        """All switches by name."""
        return {spec.name: getattr(self, spec.name) for spec in fields(self)}

    def update(self, values: JsonObject) -> None:
        """Set several switches at once, all or none. Raises ValueError that names the switch and its choices."""
        checked = {name: _checked(name, value) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Back to the defaults."""
        for spec in fields(self):
            setattr(self, spec.name, spec.default)


def _checked(name: str, value: JsonValue) -> bool | int | float | str:
    spec = next((item for item in fields(Switches) if item.name == name), None)
    if spec is None:
        raise ValueError(f"there is no switch {name!r}")
    kind = type(spec.default)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, bool | int | float | str) or isinstance(value, bool) is not (kind is bool):
        raise ValueError(f"switch {name} wants a value like {spec.default!r}")
    if kind is int and not isinstance(value, int):
        raise ValueError(f"switch {name} wants a whole number")
    choices = spec.metadata["choices"]
    if choices and value not in choices:
        raise ValueError(f"switch {name} is one of {', '.join(str(choice) for choice in choices)}")
    return value


def parse_assignment(text: str) -> JsonObject:
    """`name=value` from a command line. Raises ValueError if the switch or its value does not exist."""
    name, separator, raw = text.partition("=")
    if not separator:
        raise ValueError(f"a switch is written name=value, not {text!r}")
    spec = next((item for item in fields(Switches) if item.name == name), None)
    if spec is None:
        raise ValueError(f"there is no switch {name!r}")
    value: JsonValue = raw
    if isinstance(spec.default, bool):
        if raw not in {"true", "false"}:
            raise ValueError(f"switch {name} is true or false")
        value = raw == "true"
    elif isinstance(spec.default, int):
        if not raw.lstrip("-").isdigit():
            raise ValueError(f"switch {name} wants a whole number")
        value = int(raw)
    return {name: _checked(name, value)}


def describe_switches() -> list[JsonObject]:
    """One row per switch for help texts and documents: name, default, choices, reference section, meaning."""
    return [
        {
            "name": spec.name,
            "default": getattr(Switches(), spec.name),
            "choices": list(spec.metadata["choices"]),
            "reference": spec.metadata["ref"],
            "meaning": spec.metadata["doc"],
        }
        for spec in fields(Switches)
    ]
