"""From an HTTP answer of the API server to an error of our tree, without a word of what the server wrote.

Invariant: only the HTTP status, the machine-readable reason, and the kind and name that the Status object is about get
into an error. The message stays out: for a refused object it repeats the object, env values included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from dispersed_operator import errors

_REASON = re.compile(r"[A-Za-z]{1,64}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")

_BY_STATUS: Mapping[int, type[errors.KubernetesError]] = {
    400: errors.KubernetesInvalid,
    401: errors.KubernetesForbidden,
    403: errors.KubernetesForbidden,
    409: errors.KubernetesConflict,
    415: errors.KubernetesInvalid,
    422: errors.KubernetesInvalid,
}


def error_of(what: str, status: int, retry_after: str | None, content: bytes) -> errors.KubernetesError:
    """The error for an answer that is not 2xx. `what` is method and path of the request.

    `KubernetesNotFound` only where the server names what it did not find. A bare 404 means that the path is not served
    (the CRD is missing, or the API server is still coming up) and says nothing about any object.
    """
    answer = _status_object(content)
    details = _mapping(answer.get("details"))
    reason = _matching(_REASON, answer.get("reason"))
    about = " ".join(filter(None, (_matching(_REASON, details.get("kind")), _matching(_NAME, details.get("name")))))
    text = f"{what}: HTTP {status}" + (f" {reason}" if reason else "") + (f" ({about})" if about else "")
    if status == 429:
        seconds = _seconds(retry_after) or _seconds(details.get("retryAfterSeconds"))
        return errors.KubernetesThrottled(text, status=status, reason=reason, retry_after=seconds)
    if status == 404 and (reason != "NotFound" or not details.get("name")):
        return errors.KubernetesServerError(text, status=status, reason=reason)
    error = errors.KubernetesNotFound if status == 404 else _BY_STATUS.get(status, errors.KubernetesServerError)
    return error(text, status=status, reason=reason)


def _status_object(content: bytes) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(content))
    except ValueError:
        return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < 86400 else None
