"""Answers that are not 2xx, as the API server words them: a Status object with code, reason and what it is about."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class Refused(Exception):
    """A request that was answered with an error. `body` is the Status object; empty where the path is not served."""

    def __init__(self, status: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self.body["message"] = message
        if reason:
            self.body["reason"] = reason
        if details is not None:
            self.body["details"] = details
        self.body["code"] = status


class NotServed(Refused):
    """A path that leads nowhere. The answer is plain text, no Status: it says nothing about any object."""

    TEXT = "404 page not found\n"

    def __init__(self) -> None:
        super().__init__(404, "", self.TEXT.strip())
        self.body = {}


def not_found(group: str, plural: str, name: str) -> Refused:
    """No such object."""
    return Refused(404, "NotFound", f'{_dotted(plural, group)} "{name}" not found', about(group, plural, name))


def no_subresource() -> Refused:
    """A subresource that the kind does not have: a NotFound that names no object."""
    return Refused(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, plural: str, name: str) -> Refused:
    """The name is taken."""
    message = f'{_dotted(plural, group)} "{name}" already exists'
    return Refused(409, "AlreadyExists", message, about(group, plural, name))


def conflict(group: str, of: str, name: str, why: str) -> Refused:
    """A version or a precondition that does not fit. `of` is the plural for a version, the kind for a precondition."""
    message = f'Operation cannot be fulfilled on {_dotted(of, group)} "{name}": {why}'
    return Refused(409, "Conflict", message, about(group, of, name))


def modified(group: str, plural: str, name: str) -> Refused:
    """The version in the request is not that of the object."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(group, plural, name, why)


def invalid(group: str, of: str, name: str, causes: list[Json]) -> Refused:
    """The object would not be valid; each cause has `reason`, `message` and `field`."""
    message = f'{_dotted(of, group)} "{name}" is invalid: ' + ", ".join(f"{c['field']}: {c['message']}" for c in causes)
    return Refused(422, "Invalid", message, {**about(group, of, name), "causes": causes})


def cause(field: str, reason: str, message: str) -> Json:
    """One cause of an `invalid`; `reason` without its common beginning FieldValue."""
    return {"reason": f"FieldValue{reason}", "message": message, "field": field}


def bad_request(message: str) -> Refused:
    """The request makes no sense, whatever is stored."""
    return Refused(400, "BadRequest", message)


def expired() -> Refused:
    """A page of a listing that the server can not give any more."""
    return Refused(410, "Expired", "The provided continue parameter is too old to display a consistent list result.")


def about(group: str, of: str, name: str) -> Json:
    """The `details` of a Status."""
    return {"name": name, **({"group": group} if group else {}), "kind": of}


def _dotted(of: str, group: str) -> str:
    return f"{of}.{group}" if group else of
