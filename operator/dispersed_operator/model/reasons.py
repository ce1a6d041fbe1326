"""The closed list of condition reasons, by who has to act. Invariant: no condition carries a reason that is not here.

Each reason has a page ``docs/reasons/<Reason>.md``. `message` writes the text of a condition or an Event: what
happened, what to do, and that page, so that a reader of ``kubectl describe`` never has to search.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MESSAGE_LIMIT = 1024


class Owner(StrEnum):
    """Who has to act."""

    NOBODY = "nobody"
    USER = "user"
    ADMIN = "admin"
    OUTCOME = "outcome"


class Reason(StrEnum):
    """Every reason that a condition of this release can carry."""

    CREATING = "Creating"
    WAITING_FOR_NODE = "WaitingForNode"
    PULLING_IMAGE = "PullingImage"
    WAITING_FOR_ENDPOINTS = "WaitingForEndpoints"
    RUNNING = "Running"
    UNKNOWN_REMOTE_STATUS = "UnknownRemoteStatus"
    STOPPING = "Stopping"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    ACCEPTED = "Accepted"
    CONFORMANT = "Conformant"
    ACCOUNT_PROBING = "AccountProbing"
    RATE_LIMITED = "RateLimited"
    API_UNAVAILABLE = "APIUnavailable"

    INVALID_REFERENCE = "InvalidReference"
    SECRET_NOT_OPTED_IN = "SecretNotOptedIn"  # noqa: S105 - the name of a reason
    CONNECTION_SECRET_CONFLICT = "ConnectionSecretConflict"  # noqa: S105 - the name of a reason
    CREDENTIALS_REJECTED = "CredentialsRejected"
    PERMISSION_REFUSED = "PermissionRefused"
    INSUFFICIENT_FUNDS = "InsufficientFunds"
    REMOTE_VALIDATION_FAILED = "RemoteValidationFailed"
    IMMUTABLE_FIELD_CHANGED = "ImmutableFieldChanged"
    PAUSED = "Paused"
    ADOPTION_NOT_ALLOWED = "AdoptionNotAllowed"
    NOT_RESUMABLE = "NotResumable"

    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    OWNERSHIP_AMBIGUOUS = "OwnershipAmbiguous"
    CREATE_OUTCOME_UNKNOWN = "CreateOutcomeUnknown"
    ACCOUNT_MISMATCH = "AccountMismatch"
    REMOTE_VANISHED = "RemoteVanished"
    CLOCK_SKEW = "ClockSkew"
    EXPIRY_NOT_ENFORCED = "ExpiryNotEnforced"
    CLUSTER_IDENTITY_CHANGED = "ClusterIdentityChanged"
    LISTING_UNRELIABLE = "ListingUnreliable"
    TITLE_NOT_ECHOED = "TitleNotEchoed"

    EXIT_NON_ZERO = "ExitNonZero"
    RUN_DEADLINE_EXCEEDED = "RunDeadlineExceeded"
    START_DEADLINE_EXCEEDED = "StartDeadlineExceeded"
    ASSIGN_DEADLINE_EXCEEDED = "AssignDeadlineExceeded"
    NODE_LOST = "NodeLost"
    CANCELLED_EXTERNALLY = "CancelledExternally"
    COST_LIMIT_EXCEEDED = "CostLimitExceeded"
    RATE_LIMIT_EXCEEDED = "RateLimitExceeded"
    LIFETIME_EXCEEDED = "LifetimeExceeded"
    REMOTE_FAILED = "RemoteFailed"
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"


@dataclass(frozen=True, slots=True)
class ReasonInfo:
    """Who has to act, what the reason means, and what to do: each one sentence or two, ending in a full stop."""

    owner: Owner
    meaning: str
    remedy: str


def _nobody(meaning: str, remedy: str = "Nothing to do.") -> ReasonInfo:
    return ReasonInfo(Owner.NOBODY, meaning, remedy)


def _user(meaning: str, remedy: str) -> ReasonInfo:
    return ReasonInfo(Owner.USER, meaning, remedy)


def _admin(meaning: str, remedy: str) -> ReasonInfo:
    return ReasonInfo(Owner.ADMIN, meaning, remedy)


def _outcome(meaning: str, remedy: str) -> ReasonInfo:
    return ReasonInfo(Owner.OUTCOME, meaning, remedy)


REASONS: dict[Reason, ReasonInfo] = {
    Reason.CREATING: _nobody("The job is being requested from the service."),
    Reason.WAITING_FOR_NODE: _nobody(
        "The service has the job and looks for a node that fits.",
        "If it takes long, ask for less in spec.template.resources or allow more regions.",
    ),
    Reason.PULLING_IMAGE: _nobody("A node has the job and pulls the image."),
    Reason.WAITING_FOR_ENDPOINTS: _nobody("The job runs; the service has not published its ports yet."),
    Reason.RUNNING: _nobody("The job runs."),
    Reason.UNKNOWN_REMOTE_STATUS: _nobody(
        "The service reports a status that this version does not know; the job counts as alive and may cost money.",
        "If it lasts, look at the job in the service's console; deleting the resource still cancels it.",
    ),
    Reason.STOPPING: _nobody("The job was cancelled; its end is not confirmed yet."),
    Reason.SUSPENDED: _nobody(
        "The job is suspended as spec.suspend asks; nothing of it runs or costs money.",
        "Set spec.suspend to false to run it again from the start.",
    ),
    Reason.COMPLETED: _nobody("The job ended well."),
    Reason.ACCEPTED: _nobody("The service accepted it."),
    Reason.CONFORMANT: _nobody("The service behaves as the operator relies on, as far as this account could show it."),
    Reason.ACCOUNT_PROBING: _nobody("The account is being checked; jobs wait for the result."),
    Reason.RATE_LIMITED: _nobody(
        "The service asked for fewer requests; the operator waits.",
        "If it lasts, set requestsPerMinute or a longer polling.intervalSeconds in the account.",
    ),
    Reason.API_UNAVAILABLE: _nobody(
        "The service can not be reached or fails; the operator tries again. Running jobs are not affected.",
        "If it lasts, check the network and the baseURL of the account.",
    ),
    Reason.INVALID_REFERENCE: _user(
        "Something that the job refers to is missing, being deleted, or not fit for its use: the account, its Secret, "
        "a Secret or ConfigMap of the template, or a key.",
        "Create or mend what the message names, or correct the name.",
    ),
    Reason.SECRET_NOT_OPTED_IN: _user(
        "The template refers to a Secret that nobody has allowed to be sent to a machine of a third party.",
        "If it may leave the cluster, label it as the message says; the operator looks again within 30 s.",
    ),
    Reason.CONNECTION_SECRET_CONFLICT: _user(
        "A Secret with the name of the connection Secret exists and does not belong to this job.",
        "Set spec.connection.secretName to another name, or delete that Secret.",
    ),
    Reason.CREDENTIALS_REJECTED: _user(
        "The service does not accept the API key.",
        "Put a valid key pair of the same account into the Secret of the account.",
    ),
    Reason.PERMISSION_REFUSED: _user(
        "The API key is valid but may not do this.",
        "Give the key the permissions of a compute consumer, or use another key of the same account.",
    ),
    Reason.INSUFFICIENT_FUNDS: _user(
        "The account has not enough credit for the job.", "Add credit to the account; the operator tries again."
    ),
    Reason.REMOTE_VALIDATION_FAILED: _user(
        "The service does not accept the job as it is written.", "Correct the spec; the operator tries again then."
    ),
    Reason.IMMUTABLE_FIELD_CHANGED: _user(
        "The spec was edited while the job was being created, so the job runs with the earlier spec.",
        "Revert the edit, or delete and re-create the resource.",
    ),
    Reason.PAUSED: _user(
        "The annotation dispersed.dev/paused holds the resource; nothing is created meanwhile.",
        "Remove the annotation to go on.",
    ),
    Reason.ADOPTION_NOT_ALLOWED: _user(
        "The account does not let its DispersedJobs adopt remote jobs, so the job is neither shown nor cancelled.",
        "Set spec.allowAdoption of the account to true, or delete the resource.",
    ),
    Reason.NOT_RESUMABLE: _user(
        "The adopted job was ended by spec.suspend. Without a template it can not be run again.",
        "Delete the resource, and create one with spec.template if the job shall run again.",
    ),
    Reason.NAMESPACE_NOT_ALLOWED: _admin(
        "The ClusterDispersedAccount of the job is not shared with the namespace of the job, so nothing is created; "
        "jobs that exist are still shown, cancelled and deleted.",
        "Add the namespace to spec.allowedNamespaces of the account, or use an account of the namespace.",
    ),
    Reason.OWNERSHIP_AMBIGUOUS: _admin(
        "A remote job can not be tied to this resource beyond doubt, so it is neither adopted nor cancelled.",
        "Compare the remote job with this resource and decide by the annotation dispersed.dev/resolve-create.",
    ),
    Reason.CREATE_OUTCOME_UNKNOWN: _admin(
        "It is not known whether the create request made a job; a second one is not sent until that is proven.",
        "Wait for the proof, or decide by the annotation dispersed.dev/resolve-create.",
    ),
    Reason.ACCOUNT_MISMATCH: _admin(
        "The key belongs to another account than the one that has the job.",
        "Put a key of the recorded account back into the Secret.",
    ),
    Reason.REMOTE_VANISHED: _admin(
        "The service no longer knows the job; it is not created again.",
        "Look for the job in the service's console; delete the resource if it is really gone.",
    ),
    Reason.CLOCK_SKEW: _admin(
        "The clocks of service and operator differ by more than signatures allow.",
        "Synchronise the clock of the operator's node.",
    ),
    Reason.EXPIRY_NOT_ENFORCED: _admin(
        "The service accepts repeated or old requests for this account, so an unknown create can not be proven absent.",
        "Report it to the service; settle unknown creates by the annotation dispersed.dev/resolve-create.",
    ),
    Reason.LISTING_UNRELIABLE: _admin(
        "The lists of the service contradict themselves, so that no listing is complete; nothing is created meanwhile.",
        "Run dispersed-operator conformance with the key of the account, and report what it shows to the service.",
    ),
    Reason.TITLE_NOT_ECHOED: _admin(
        "The title of a job does not come back as it was sent, so sweeper and reaper can not know it as ours.",
        "Report it to the service; look for left-over jobs of the account in its console.",
    ),
    Reason.CLUSTER_IDENTITY_CHANGED: _admin(
        "The API server's certificate authority is not the one that the account knows: this may be a copy of the "
        "cluster.",
        "Make sure that no other copy of this cluster runs, then confirm by the annotation "
        "dispersed.dev/confirm-cluster.",
    ),
    Reason.EXIT_NON_ZERO: _outcome(
        "The container ended with an exit code other than 0.", "Read status.logTail, mend the job and create it again."
    ),
    Reason.RUN_DEADLINE_EXCEEDED: _outcome(
        "The job ran longer than deadlines.runSeconds.", "Create it again with a longer deadlines.runSeconds."
    ),
    Reason.START_DEADLINE_EXCEEDED: _outcome(
        "The container did not start within deadlines.startSeconds.",
        "Use a smaller image, or create it again with a longer deadlines.startSeconds.",
    ),
    Reason.ASSIGN_DEADLINE_EXCEEDED: _outcome(
        "No node was found within deadlines.assignSeconds.",
        "Ask for less in template.resources, or create it again with a longer deadlines.assignSeconds.",
    ),
    Reason.NODE_LOST: _outcome(
        "The node was lost while the job ran.", "Create it again; set retry.remoteRetries to have the service do so."
    ),
    Reason.CANCELLED_EXTERNALLY: _outcome(
        "Somebody cancelled the job outside Kubernetes.", "Delete the resource, and create it again if it shall run."
    ),
    Reason.COST_LIMIT_EXCEEDED: _outcome(
        "The job has cost as much as spec.limits.maxCostUSD allows, so it was cancelled.",
        "Raise the limit, or make the job smaller, and create it again.",
    ),
    Reason.RATE_LIMIT_EXCEEDED: _outcome(
        "The service put the job on a node that costs more an hour than spec.limits.maxHourlyRateUSD allows, so it was "
        "cancelled.",
        "Ask for other resources or regions, or raise the limit, and create it again.",
    ),
    Reason.LIFETIME_EXCEEDED: _outcome(
        "The job has existed for spec.limits.maxLifetimeSeconds, so it was cancelled.",
        "Create it again, with a longer lifetime if it needs one.",
    ),
    Reason.REMOTE_FAILED: _outcome(
        "The service reports a failure without a cause that is known here.",
        "Read status.logTail and the service's console, then create it again.",
    ),
    Reason.BACKOFF_LIMIT_EXCEEDED: _user(
        "Every attempt that this resource may make was refused.",
        "Mend what the refusals name, then delete and re-create the resource.",
    ),
}


def docs_url(reason: Reason) -> str:
    """The page of a reason, relative to the repository."""
    return f"docs/reasons/{reason}.md"


def message(reason: Reason, text: str = "") -> str:
    """The message of a condition or Event: what happened, what to do, the page; at most 1024 characters.

    `text` is what happened in this case (default: the meaning of the reason). It must hold nothing secret. It is cut
    short where there is no room; remedy and page never are.
    """
    info = REASONS[reason]
    tail = f"{info.remedy} See {docs_url(reason)}"
    head = text.strip() or info.meaning
    if not head.startswith("spec."):  # the name of a field stays as one writes it
        head = head[:1].upper() + head[1:]
    if not head.endswith((".", "!", "?")):
        head += "."
    room = MESSAGE_LIMIT - len(tail) - 1
    if len(head) > room:
        head = head[: room - 1].rstrip() + "…"
    return f"{head} {tail}"
