"""The one error tree of the operator: every failure that crosses a room's door is one of these.

    OperatorError
    ├── SettingsError                 a setting makes no sense; the process ends at start with one line
    ├── KubernetesError               the API server refused or could not be reached
    │   ├── KubernetesUnreachable     network failure or time-out: the outcome of a write is not known
    │   ├── KubernetesNotFound        404
    │   ├── KubernetesConflict        409: the object changed since it was read, or exists already
    │   ├── KubernetesForbidden       401 or 403: a right is missing
    │   ├── KubernetesInvalid         400, 415, 422: the API server will never accept this request
    │   ├── KubernetesThrottled       429
    │   └── KubernetesServerError     5xx and everything else
    ├── RemoteError                   the Dispersed API refused, failed, or gave an answer that cannot be believed
    │   ├── UnsignableRequest         refused before signing: not ASCII, not an integer, an odd query character
    │   ├── NotSent                   no byte left this process (connection refused, name not resolved)
    │   ├── TransportFailed           time-out or connection lost after bytes were sent: the outcome is not known
    │   ├── MalformedAnswer           2xx with a body that makes no sense: never read as "gone"
    │   └── RemoteStatusError         an HTTP status that is not 2xx
    │       ├── CredentialsRefused    401
    │       ├── PermissionRefused     403
    │       ├── FundsInsufficient     402
    │       ├── RemoteNotFound        404
    │       ├── RemoteConflict        409
    │       ├── RequestRejected       400, 413, 422 and other 4xx
    │       ├── RateLimited           429
    │       └── ServiceFailed         5xx
    └── StateLost                     the store is ahead of the API server (etcd restored): the process must end

An exception text never holds a key, a token, an env value or a body of either API: callers put it into conditions.
"""

from __future__ import annotations


class OperatorError(Exception):
    """Base of every error that the operator raises on purpose."""


class SettingsError(OperatorError):
    """A setting makes no sense; the text names the setting and the remedy."""


class StateLost(OperatorError):
    """The API server answered with a resourceVersion below one already seen (protocol, Identity)."""


class KubernetesError(OperatorError):
    """The API server refused a request or could not be reached.

    `status` is the HTTP status, 0 if there was none. `reason` is the machine-readable reason of the Status object
    (for example ``AlreadyExists``), never its message: a 422 echoes the whole object.
    """

    def __init__(self, text: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason


class KubernetesUnreachable(KubernetesError):
    """Network failure or time-out; a write may or may not have happened."""


class KubernetesNotFound(KubernetesError):
    """404."""


class KubernetesConflict(KubernetesError):
    """409: the object changed since it was read, or exists already."""


class KubernetesForbidden(KubernetesError):
    """401 or 403."""


class KubernetesInvalid(KubernetesError):
    """400, 415 or 422: repeating the request cannot help."""


class KubernetesThrottled(KubernetesError):
    """429; `retry_after` is in seconds, None if the server did not say."""

    def __init__(self, text: str, *, status: int = 429, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(text, status=status, reason=reason)
        self.retry_after = retry_after


class KubernetesServerError(KubernetesError):
    """5xx, or a status that means nothing to us."""


class RemoteError(OperatorError):
    """The Dispersed API refused, failed, or answered something that cannot be believed."""


class UnsignableRequest(RemoteError):
    """Refused before signing, because signers could spell it differently (API reference §2.3, §2.5)."""


class NotSent(RemoteError):
    """No byte of the request left this process, so nothing can have happened remotely."""


class TransportFailed(RemoteError):
    """Time-out or lost connection after bytes were sent: the outcome is not known."""


class MalformedAnswer(RemoteError):
    """A 2xx answer whose body makes no sense."""


class RemoteStatusError(RemoteError):
    """An HTTP status that is not 2xx.

    `code` and `detail` are what the error body said (API reference §3.4), shortened and stripped of anything secret;
    `json_body` tells whether the body was a JSON error at all (a proxy answers HTML); `server_date` is the answer's
    `Date` in seconds since the epoch.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str = "",
        detail: str = "",
        json_body: bool = False,
        retry_after: float | None = None,
        server_date: int | None = None,
    ) -> None:
        super().__init__(f"HTTP {status}" + (f" {code}" if code else "") + (f": {detail}" if detail else ""))
        self.status = status
        self.code = code
        self.detail = detail
        self.json_body = json_body
        self.retry_after = retry_after
        self.server_date = server_date


class CredentialsRefused(RemoteStatusError):
    """401."""


class PermissionRefused(RemoteStatusError):
    """403."""


class FundsInsufficient(RemoteStatusError):
    """402."""


class RemoteNotFound(RemoteStatusError):
    """404; never proof that a job is gone (protocol D3)."""


class RemoteConflict(RemoteStatusError):
    """409."""


class RequestRejected(RemoteStatusError):
    """400, 413, 422 and the other 4xx."""


class RateLimited(RemoteStatusError):
    """429; `retry_after` in seconds if the service said so."""


class ServiceFailed(RemoteStatusError):
    """5xx."""
