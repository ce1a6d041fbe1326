"""What an object carries that was made for another one: a restored backup, a clone, or a forgery.

Intent and record travel with a manifest. Planning gets to see an object only as `perceive` shows it, without what is
certainly another object's; and where that is not certain, nothing is done before it is (protocol, Identity; failure
modes 13, 36, 52, 61).

- Restore: the intent's origin is an earlier object of the same cluster, namespace and name, and lives no more. Its jobs
  are this object's, as far as their titles verify for it. The origin stays in the intent.
- Clone: the object that the intent or the token was made for lives. Everything inherited is ignored; the status is
  cleared, and the intent goes with this object's own one (C2).
- Anything else stalls with `OwnershipAmbiguous`.

Invariant: a judgement that turns out wrong costs a wait or a job of the object's own, never a job of somebody else,
for titles are verified whatever is concluded here.
"""

from __future__ import annotations

from dataclasses import replace

from dispersed_operator.model import naming
from dispersed_operator.model.intent import IntentState
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.status import Phase
from dispersed_operator.planning import adoption
from dispersed_operator.planning.identity import (
    derives,
    has_foreign_origin,
    has_foreign_record,
    identity_of,
    is_earlier_self,
)
from dispersed_operator.planning.ownership import as_adopter
from dispersed_operator.planning.vocabulary import Action, Facts, ForgetInheritance, Inspected, InspectOrigin

INSPECTED_AGAIN_SECONDS = 30.0


def perceive(resource: JobResource, cluster_id: str, inspected: Inspected | None) -> JobResource:
    """The object without the intent and the status that are certainly another object's."""
    if resource.adopts is not None:
        return as_adopter(resource, cluster_id)
    if resource.intent is None and resource.record is None:
        cleared = inspected is not None and inspected.alive and inspected.subject != resource.uid
        return replace(resource, inherited=cleared)  # what it had inherited was taken off before our eyes
    foreign_record = has_foreign_record(resource, cluster_id)
    known = inspected is not None and inspected.subject == _subject(resource) != resource.uid
    alive = known and inspected is not None and inspected.alive
    if not has_foreign_origin(resource, cluster_id):
        copy = replace(resource, inherited=alive)
        return _beside_own_intent(copy) if foreign_record and (alive or resource.intent is not None) else resource
    record = resource.record
    if record is not None and derives(record, identity_of(resource, cluster_id)):
        return replace(resource, intent=None)  # somebody put another object's annotation over a resource that has a job
    if alive:
        bare = replace(resource, intent=None, inherited=True)
        return _without_status(bare) if record is not None or resource.status.get("jobUUID") else bare
    if foreign_record and _is_restore(resource, cluster_id) and not (resource.deleting and _is_refused(resource)):
        return _without_status(resource)  # else nothing but the record names a job: its title tells whose it is
    return resource


def plan_inheritance(resource: JobResource, perceived: JobResource, facts: Facts) -> Action | None:
    """The step that settles whose intent and record these are; None once it is settled."""
    if perceived.status != resource.status and not resource.deleting:
        return ForgetInheritance()
    foreign_origin = has_foreign_origin(perceived, facts.cluster_id)
    if not foreign_origin and not has_foreign_record(perceived, facts.cluster_id):
        return None
    if _changed_cluster(resource, facts.cluster_id) and (not resource.deleting or not _is_forced(resource)):
        return adoption.ambiguous(_OTHER_CLUSTER, Phase.STOPPING if resource.deleting else Phase.PENDING)
    if foreign_origin and resource.deleting:
        return None  # a deletion ends the jobs of this object and of its earlier self, and no other
    restore = foreign_origin and _is_restore(resource, facts.cluster_id)
    inspected = facts.memory.inspected
    known = inspected is not None and inspected.subject == _subject(resource)
    if inspected is None or not known or not (restore or facts.now - inspected.at < INSPECTED_AGAIN_SECONDS):
        return _inspection(resource, facts.cluster_id)
    if restore or resource.deleting:
        return None
    return adoption.ambiguous(_FOREIGN_INTENT if foreign_origin else _FOREIGN_RECORD)


def _beside_own_intent(resource: JobResource) -> JobResource:
    """An intent of its own says what this object asked for; a record beside it that is not its own says nothing. If the
    intent says that nothing is to be proven, a deletion believes neither: the token of a job of ours may be garbled."""
    if resource.deleting and _is_refused(resource):
        resource = replace(resource, intent=None, intent_garbled=True)
    return _without_status(resource)


def _is_refused(resource: JobResource) -> bool:
    return resource.intent is not None and resource.intent.state is IntentState.REFUSED


def _changed_cluster(resource: JobResource, cluster_id: str) -> bool:
    """Whether this very object made its intent under another cluster id: somebody changed the setting, and no title of
    its jobs verifies any more."""
    origin = resource.intent.origin if resource.intent is not None else None
    return origin is not None and origin.uid == resource.uid and origin.cluster_id != cluster_id


def _is_forced(resource: JobResource) -> bool:
    return naming.FORCE_FINALIZE_ANNOTATION in resource.annotations


def _is_restore(resource: JobResource, cluster_id: str) -> bool:
    return resource.intent is not None and is_earlier_self(resource.intent.origin, identity_of(resource, cluster_id))


def _subject(resource: JobResource) -> str:
    """What names the other object: the uid in the intent, or the token in the record where there is no intent."""
    if resource.intent is not None:
        return resource.intent.origin.uid
    return resource.record.token if resource.record is not None else ""


def _inspection(resource: JobResource, cluster_id: str) -> InspectOrigin:
    origin = resource.intent.origin if resource.intent is not None else None
    return InspectOrigin(
        subject=_subject(resource),
        cluster_id=cluster_id,
        uid=origin.uid if origin is not None else None,
        namespaced_name=origin.namespaced_name if origin is not None else None,
        attempt=resource.record.attempt if resource.record is not None else 0,
    )


def _without_status(resource: JobResource) -> JobResource:
    return replace(resource, record=None, status={})


_FOREIGN_INTENT = (
    "the create intent on this object was made for another object or cluster, which does not exist here; if this is a "
    "copy, remove the annotation dispersed.dev/create-intent and the status"
)
_OTHER_CLUSTER = (
    "this object made its create intent under another cluster id, so none of its jobs can be told; start the operator "
    "with that --cluster-id again (origin.clusterID in the annotation dispersed.dev/create-intent)"
)
_FOREIGN_RECORD = (
    "status.create was written for another object that does not exist any more; if this is a copy, remove the status "
    '(kubectl patch --subresource=status --type=json -p \'[{"op":"remove","path":"/status"}]\'); if it was '
    "restored from a backup, put the annotation dispersed.dev/create-intent of the backup back"
)
