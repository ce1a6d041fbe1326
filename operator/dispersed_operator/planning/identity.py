"""Whose job is it? The check that stands before every adoption and every cancel.

Nothing that a tenant can write (an annotation, a status, a copied manifest) may reach another tenant's job. A remote
row belongs to a resource only if its title verifies against the resource's own identity, or against that of its earlier
self; the token in it derives from the uid, which nobody can choose (protocol, Identity; failure modes 36, 42, 52, 61).
"""

from __future__ import annotations

from dataclasses import dataclass

from dispersed_operator.model import naming
from dispersed_operator.model.intent import Origin
from dispersed_operator.model.naming import Identity
from dispersed_operator.model.observed import CreateRecord, JobResource
from dispersed_operator.model.remote import RemoteJob

GARBLED_ATTEMPTS = range(4)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a row proves about itself: its attempt, the time of its signature (0 if only the token came back), and the
    token of the identity that it belongs to."""

    attempt: int
    signed_at: int
    token: str


def identity_of(resource: JobResource, cluster_id: str) -> Identity:
    """The identity under which this resource creates jobs."""
    return Identity(cluster_id, resource.key.namespace, resource.key.name, resource.uid)


def has_foreign_origin(resource: JobResource, cluster_id: str) -> bool:
    """Whether the intent on the object was made for another object or another cluster: a restore or a clone."""
    origin = resource.intent.origin if resource.intent is not None else None
    return origin is not None and (origin.uid != resource.uid or origin.cluster_id != cluster_id)


def cancel_identities(resource: JobResource, cluster_id: str) -> tuple[Identity, ...]:
    """The identities whose jobs this resource may adopt, show and end.

    Its own; and the origin's where that is an earlier object in the same place (a restored backup).
    """
    own = identity_of(resource, cluster_id)
    origin = resource.intent.origin if resource.intent is not None else None
    if origin is None or not is_earlier_self(origin, own):
        return (own,)
    return (own, Identity(cluster_id, resource.key.namespace, resource.key.name, origin.uid))


def has_foreign_record(resource: JobResource, cluster_id: str) -> bool:
    """Whether `status.create` was written for another object: its token derives neither from this resource nor from
    its earlier self. Without a token nothing is said; the job's title then decides alone."""
    record = resource.record
    if record is None or not record.token:
        return False
    return not any(derives(record, identity) for identity in cancel_identities(resource, cluster_id))


def derives(record: CreateRecord, identity: Identity) -> bool:
    """Whether the record's token belongs to this identity. A record whose attempt is garbled gets the first few."""
    attempts = [record.attempt] if record.attempt else GARBLED_ATTEMPTS
    return any(record.token == naming.create_token(identity, attempt) for attempt in attempts)


def is_earlier_self(origin: Origin, own: Identity) -> bool:
    """Whether an origin has this very cluster, namespace and name: two objects of one name cannot exist at once, so it
    is an earlier object in the same place and never a living neighbour."""
    return origin.cluster_id == own.cluster_id and origin.namespaced_name == own.namespaced_name


def claimed_by(resource: JobResource, cluster_id: str, row: RemoteJob, attempts: range) -> Claimed | None:
    """What ties a row to this resource or to its earlier self, or None if it is not ours."""
    found = (claims(row, identity, attempts) for identity in cancel_identities(resource, cluster_id))
    return next((claimed for claimed in found if claimed is not None), None)


def claims(row: RemoteJob, identity: Identity, attempts: range) -> Claimed | None:
    """What ties a row to this identity, or None if it is not ours.

    The verified title decides. Where the service cut or rewrote the title, so that it is no title of ours at all, the
    token in the description or in the echoed env does, for the `attempts` that can be meant (failure mode 41).
    """
    parsed = naming.parse_title(row.title)
    if parsed is not None:
        verified = naming.title_belongs_to(row.title, identity)
        return Claimed(verified.attempt, verified.signed_at, verified.token) if verified is not None else None
    described = naming.parse_description(row.description)
    witnesses = {described[0] if described else None, row.env_token} - {None}
    for attempt in attempts:
        token = naming.create_token(identity, attempt)
        if token in witnesses:
            return Claimed(attempt, 0, token)
    return None
