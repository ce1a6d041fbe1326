"""The refusals of the simulated service and the shapes in which they may be written (API reference §3.4)."""

from __future__ import annotations

import html
import json

from dispersed_simulator.switches import Switches
from dispersed_simulator.wire import JsonObject, JsonValue


class ApiError(Exception):
    """A request that the service refuses. The codes are the simulator's own; none is attested (reference §2.7)."""

    def __init__(self, status: int, code: str, message: str, details: JsonValue = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details


def render_error(error: ApiError, switches: Switches) -> tuple[str, bytes]:
    """Content type and body of a refusal in the envelope that the switch names."""
    if switches.error_envelope == "html":
        text = f"<html><body><h1>{error.status}</h1><p>{html.escape(error.message)}</p></body></html>"
        return "text/html; charset=utf-8", text.encode()
    full: JsonObject = {"code": error.code, "message": error.message, "details": error.details}
    if not error.code:
        del full["code"]
    shapes: dict[str, JsonObject] = {
        "nested": {"error": full},
        "code_message": {"code": error.code, "message": error.message},
        "message": {"message": error.message},
        "string": {"error": error.message},
        "detail": {"detail": error.message},
        "errors": {"errors": [full]},
    }
    return "application/json", json.dumps(shapes[switches.error_envelope]).encode()


def html_page(status: int, title: str) -> bytes:
    """The kind of page that a proxy puts in front of a broken service."""
    return f"<html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>".encode()
