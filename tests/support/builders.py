"""Builders of what planning sees: a resource and the facts around it.

Each has a default for everything, so that a test names only what it is about. The default story: a Batch job was
created at `CREATED` and signed, where it is signed, at `SIGNED`; the server's clock stands at `NOW`; this process has
led since monotonic 0 and its clock shows `MONOTONIC`. All times but the monotonic one are seconds since the epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from dispersed_operator.model import naming
from dispersed_operator.model.intent import AccountMark, Intent, IntentState, Origin, Refusal
from dispersed_operator.model.job import DispersedJobSpec
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.observed import JobResource, parse_job, rfc3339
from dispersed_operator.model.reading import Reading, read
from dispersed_operator.model.reasons import Reason
from dispersed_operator.model.remote import Listing, NodeURL, RemoteJob, RemoteRun
from dispersed_operator.model.windows import ProofWindows
from dispersed_operator.planning.body import body_digest
from dispersed_operator.planning.matching import ListingIndex, index_listing
from dispersed_operator.planning.vocabulary import AccountFacts, Facts, Memory, Problem, Sighting

Body = dict[str, Any]

CLUSTER = "8f4c2f6e-2f0b-4a53-9d0c-6f6f1f0a7b11"
IDENTITY = Identity(CLUSTER, "team-a", "train", "0b9d7c52-1f2e-4c1a-8a55-2d1f4e6a9c03")
CREATED = 1_795_000_000
SIGNED = CREATED + 10
NOW = SIGNED + 20
MONOTONIC = 1000.0
NONCE = "nonce-1"
JOB = "11111111-1111-4111-8111-111111111111"
OTHER_JOB = "22222222-2222-4222-8222-222222222222"
RUN = "aaaaaaaa-1111-4111-8111-111111111111"
ACCOUNT = AccountMark("api.example.com", "pk_one", None)
OTHER_ACCOUNT = AccountMark("api.example.com", "pk_two", None)
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBGsRSs7yj17mB0rDcPKfLIjAUnJc5NnbjJB7prmEGjp me@example"

BATCH: Mapping[str, Any] = {
    "task": "Batch",
    "template": {"title": "Train the model", "image": "registry.example.com/team/train", "tag": "v1"},
    "deadlines": {"assignSeconds": 300, "startSeconds": 300, "runSeconds": 600},
}
PERSISTENT: Mapping[str, Any] = {
    "task": "Persistent",
    "template": {
        "title": "Workbench",
        "image": "registry.example.com/team/bench",
        "ports": [{"name": "web", "containerPort": 8080}],
        "ssh": {"publicKey": SSH_KEY},
        "allowedCIDRs": ["203.0.113.7/32"],
    },
}


def moment(seconds: float) -> datetime:
    """The aware time of seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def digest_of(spec: Mapping[str, Any] = BATCH) -> str:
    """The body digest of a spec."""
    return body_digest(DispersedJobSpec.from_api(spec))


def an_intent(**changes: Any) -> Intent:
    """The open intent of the first attempt; the token follows attempt and origin unless it is given."""
    origin = changes.pop("origin", Origin(IDENTITY.uid, IDENTITY.namespaced_name, CLUSTER))
    attempt = changes.pop("attempt", 1)
    namespace, _, name = origin.namespaced_name.partition("/")
    owner = Identity(origin.cluster_id, namespace, name, origin.uid)
    standard = Intent(
        token=naming.create_token(owner, attempt),
        attempt=attempt,
        signed_at=SIGNED,
        nonce=NONCE,
        body_sha256=digest_of(),
        holder="holder-1",
        account=ACCOUNT,
        origin=origin,
    )
    return replace(standard, **changes)


def refused(refusal: Refusal | None, **changes: Any) -> Intent:
    """An intent that is marked refused."""
    return an_intent(state=IntentState.REFUSED, refusal=refusal, message="the service said no", **changes)


@dataclass(frozen=True)
class JobBuilder:
    """A DispersedJob, fluently: every method gives a changed copy, `resource` reads it as the operator does."""

    body: Body = field(
        default_factory=lambda: {
            "apiVersion": "dispersed.dev/v1alpha1",
            "kind": "DispersedJob",
            "metadata": {
                "namespace": IDENTITY.namespace,
                "name": IDENTITY.name,
                "uid": IDENTITY.uid,
                "resourceVersion": "7",
                "generation": 1,
                "creationTimestamp": rfc3339(CREATED),
            },
            "spec": copy.deepcopy(dict(BATCH)),
        }
    )

    @property
    def resource(self) -> JobResource:
        return parse_job(self.body)

    @property
    def reading(self) -> Reading:
        """As the store holds it."""
        resource = self.resource
        return read(resource.key, self.body, int(resource.resource_version))

    def metadata(self, **fields: Any) -> JobBuilder:
        return self._with("metadata", fields)

    def annotated(self, name: str, value: str) -> JobBuilder:
        annotations = {**self.body["metadata"].get("annotations", {}), name: value}
        return self.metadata(annotations=annotations)

    def spec(self, spec: Mapping[str, Any]) -> JobBuilder:
        return replace(self, body={**self.body, "spec": copy.deepcopy(dict(spec))})

    def persistent(self, **connection: str) -> JobBuilder:
        return self.spec({**PERSISTENT, **({"connection": connection} if connection else {})})

    def status(self, **fields: Any) -> JobBuilder:
        return self._with("status", fields)

    def held(self) -> JobBuilder:
        """Carries our finalizer."""
        return self.metadata(finalizers=[naming.JOB_FINALIZER])

    def deleting(self, since: int = NOW) -> JobBuilder:
        """Is being deleted, with our finalizer."""
        return self.held().metadata(deletionTimestamp=rfc3339(since))

    def paused(self) -> JobBuilder:
        return self.annotated(naming.PAUSED_ANNOTATION, "true")

    def intent(self, intent: Intent | str | None = None) -> JobBuilder:
        """With this intent (default: the open one of the first attempt), and the finalizer that comes with it."""
        text = intent if isinstance(intent, str) else (intent or an_intent()).to_annotation()
        return self.held().annotated(naming.INTENT_ANNOTATION, text)

    def record(self, **changes: Any) -> JobBuilder:
        """With `status.create` of the accepted first attempt; a change to None removes the field."""
        attempt = changes.get("attempt", 1)
        fields = {
            "token": naming.create_token(IDENTITY, attempt if isinstance(attempt, int) else 1),
            "attempt": 1,
            "uuid": JOB,
            "state": "Accepted",
            "locked": True,
            "signedAt": rfc3339(SIGNED),
            "account": {"host": ACCOUNT.host, "publicKey": ACCOUNT.public_key},
            "bodySHA256": digest_of(self.body["spec"]) if "adopt" not in self.body["spec"] else None,
            **changes,
        }
        create = {name: value for name, value in fields.items() if value is not None}
        return self.status(create=create, **({"jobUUID": create["uuid"]} if create.get("uuid") else {}))

    def created(self) -> JobBuilder:
        """Was created and recorded: intent, finalizer, record."""
        return self.intent(an_intent(body_sha256=digest_of(self.body["spec"]))).record()

    def _with(self, part: str, fields: Mapping[str, Any]) -> JobBuilder:
        return replace(self, body={**self.body, part: {**self.body.get(part, {}), **fields}})


def a_job() -> JobBuilder:
    """A Batch job that nobody has touched yet."""
    return JobBuilder()


def a_row(
    *,
    uuid: str = JOB,
    status: str = "PENDING",
    attempt: int = 1,
    identity: Identity = IDENTITY,
    signed_at: int = SIGNED,
    digest: str | None = None,
    **changes: Any,
) -> RemoteJob:
    """A remote job with a title that verifies; `digest` is what its description says."""
    token = naming.create_token(identity, attempt)
    standard = RemoteJob(
        uuid=uuid,
        status=status,
        title=naming.remote_title(
            identity, attempt=attempt, signed_at=signed_at, expiry=signed_at + 4800, user_title="Train the model"
        ),
        description=naming.remote_description(
            token=token, digest=digest or digest_of(), title="Train the model", description=""
        ),
        task="BATCH",
        created_at=moment(signed_at + 1),
        env_token=token,
    )
    return replace(standard, **changes)


def stranger(uuid: str = OTHER_JOB, **changes: Any) -> RemoteJob:
    """A remote job that has nothing to do with this cluster."""
    standard = RemoteJob(uuid=uuid, status="RUNNING", title="somebody's job", created_at=moment(CREATED - 3600))
    return replace(standard, **changes)


def a_run(*, uuid: str = RUN, status: str = "RUNNING", **changes: Any) -> RemoteRun:
    """A run that started at `NOW` - 10."""
    standard = RemoteRun(
        uuid=uuid,
        job_uuid=JOB,
        status=status,
        created_at=moment(NOW - 15),
        started_at=moment(NOW - 10),
        hourly_rate_usd=Decimal("0.35"),
    )
    return replace(standard, **changes)


WEB_URL = NodeURL(description="8080", hostname="node.example.net", port=31080, protocol="http", tls=True)
SSH_URL = NodeURL(description="ssh", hostname="node.example.net", port=31022, protocol="tcp", tls=False)


def a_listing(
    *rows: RemoteJob, date: int = NOW, begun: float = MONOTONIC - 1, page_size: int = 50, since: int = 0
) -> ListingIndex:
    """A complete listing whose `Date` is `date`."""
    return index_listing(Listing(rows=rows, server_date=date, begun=begun, page_size=page_size, covers_since=since))


def an_account(**changes: Any) -> AccountFacts:
    """An account that is ready."""
    standard = AccountFacts(
        name="default",
        mark=ACCOUNT,
        blocker=None,
        reachable=True,
        expiry_enforced=True,
        windows=ProofWindows(),
        server_time=float(NOW),
        server_date_age=1.0,
    )
    return replace(standard, **changes)


NO_SECRET = Problem(Reason.INVALID_REFERENCE, "the Secret team-a/key does not exist")


def closed_account(problem: Problem = NO_SECRET) -> AccountFacts:
    """An account without a session: nothing can be asked."""
    return an_account(
        mark=None, blocker=problem, reachable=False, expiry_enforced=None, server_time=None, server_date_age=None
    )


def facts(*, at: int | None = None, account: AccountFacts | None = None, **changes: Any) -> Facts:
    """Everything ready and nothing read yet; `at` is the server's time."""
    asked = account or an_account()
    if at is not None:
        asked = replace(asked, server_time=float(at))
    standard = Facts(
        cluster_id=CLUSTER,
        now=MONOTONIC,
        wall=float(NOW if at is None else at),
        leading_since=0.0,
        account=asked,
        memory=Memory(),
        digest=digest_of(),
    )
    return replace(standard, **changes)


def memory(**changes: Any) -> Memory:
    """What the reconciler remembers."""
    return replace(Memory(), **changes)


def sighting(date: int, page_size: int = 49, account: AccountMark | None = ACCOUNT) -> Sighting:
    """An earlier complete listing without the job."""
    return Sighting(date, page_size, account)


def reads(job: RemoteJob, runs: Sequence[RemoteRun] = (), **changes: Any) -> dict[str, Any]:
    """The facts of a job that was read in this pass."""
    return {"job": job, "runs": tuple(runs), **changes}
