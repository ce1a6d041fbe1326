"""The users of the simulation: what they do to their objects, with and without good manners."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from dispersed_operator.kube.resources import DISPERSED_JOBS
from dispersed_operator.model import naming
from dispersed_operator.model.job import DispersedJobSpec
from tests.simulation.apiserver import Refused, without_server_fields
from tests.simulation.plan import Verb
from tests.simulation.shards import SECOND_ACCOUNT

if TYPE_CHECKING:
    from tests.simulation.world import World

Body = dict[str, Any]

CAN_SUSPEND = "suspend" in DispersedJobSpec.model_fields
LIFETIME_SECONDS = 120
"""A little longer than most of an episode's doings."""
RETRY_SECONDS = 20.0
RETRIES = 40


class Users:
    """Carries verbs out. A verb that makes no sense at its moment does nothing; a refused one is noted in the trace."""

    def __init__(self, world: World, namespace: str) -> None:
        self._world = world
        self._namespace = namespace
        self._backups: dict[int, Body] = {}
        self._clones = 0

    def act(self, verb: Verb, target: int) -> None:
        """One verb on the resource number `target`."""
        try:
            done = self._act(verb, target)
        except Refused as refused:
            self._world.trace.write("user", f"{verb} {_name(target)}: refused, {refused.status} {refused.reason}")
            return
        finally:
            self._world.watches.changed()
        if done:
            self._world.count[f"user-{verb}"] += 1
            self._world.trace.write("user", f"{verb} {_name(target)}")
            self._world.watches.changed()

    def unpause_all(self) -> None:
        """At the end nobody is paused."""
        for body in self._world.job_bodies():
            if (body["metadata"].get("annotations") or {}).get(naming.PAUSED_ANNOTATION):
                self._patch(body, {"metadata": {"annotations": {naming.PAUSED_ANNOTATION: None}}})
        self._world.watches.changed()

    def _act(self, verb: Verb, target: int) -> bool:
        body = self._world.api.find(DISPERSED_JOBS, self._namespace, _name(target))
        if verb is Verb.CREATE:
            return body is None and self._create(target)
        if verb in {Verb.RESTORE, Verb.RESTORE_WITH_STATUS}:
            return self._restore(target, body, with_status=verb is Verb.RESTORE_WITH_STATUS)
        if body is None:
            return False
        if verb in {Verb.CLONE, Verb.CLONE_WITH_STATUS}:
            return self._clone(body, with_status=verb is Verb.CLONE_WITH_STATUS)
        if verb is Verb.RECREATE:
            return self._delete(body) and self._create_when_gone(target)
        return self._change(verb, target, body)

    def _change(self, verb: Verb, target: int, body: Body) -> bool:
        annotate: dict[Verb, tuple[str, str | None]] = {
            Verb.ASK: (naming.RECONCILE_ANNOTATION, f"{self._world.loop.time():.0f}"),
            Verb.PAUSE: (naming.PAUSED_ANNOTATION, "true"),
            Verb.UNPAUSE: (naming.PAUSED_ANNOTATION, None),
        }
        if verb in annotate:
            name, value = annotate[verb]
            return self._patch(body, {"metadata": {"annotations": {name: value}}})
        if verb is Verb.BACKUP:
            self._backups[target] = copy.deepcopy(body)
            return True
        if verb in {Verb.SUSPEND, Verb.RESUME}:
            return CAN_SUSPEND and self._suspend(body, wanted=verb is Verb.SUSPEND)
        patches: dict[Verb, Body] = {
            Verb.STRIP_ANNOTATIONS: {"metadata": {"annotations": None}},
            Verb.STRIP_FINALIZERS: {"metadata": {"finalizers": None}},
            Verb.EDIT_IMAGE: {"spec": {"template": {"tag": f"v{int(self._world.loop.time())}"}}},
            Verb.EDIT_CONNECTION: {"spec": {"connection": {"secretName": f"{_name(target)}-data"}}},
            Verb.LIMIT_RATE: {"spec": {"limits": {"maxHourlyRateUSD": "0.01"}}},
            Verb.LIMIT_LIFETIME: {"spec": {"limits": {"maxLifetimeSeconds": LIFETIME_SECONDS}}},
            Verb.KEEP: {"spec": {"deletionPolicy": "Orphan"}},
        }
        if verb is Verb.MOVE:
            return self._move(body)
        if verb in patches:
            return self._patch(body, patches[verb])
        if verb is Verb.DELETE:
            return self._delete(body)
        if verb is Verb.FORCE_DELETE:
            self._delete(body)
            left = self._world.api.find(DISPERSED_JOBS, self._namespace, _name(target))
            return left is None or self._patch(left, {"metadata": {"finalizers": None}})
        if verb is Verb.REPLACE:
            return self._replace(body)
        stripped = verb is not Verb.STRIP_ALL or self._patch(
            body, {"metadata": {"annotations": None, "finalizers": None}}
        )
        left = self._world.api.find(DISPERSED_JOBS, self._namespace, _name(target))
        return stripped and (left is None or self._write_status(left, None))

    def _create(self, target: int) -> bool:
        spec: Body = {
            "task": "Batch",
            "template": {"title": f"job {target}", "image": "registry.example.com/team/train", "tag": "v1"},
            "deadlines": {"assignSeconds": 300, "startSeconds": 300, "runSeconds": 600},
        }
        if self._world.plan.persistent[target]:
            spec = {"task": "Persistent", "template": spec["template"] | {"allowedCIDRs": ["203.0.113.7/32"]}}
        layout = self._world.plan.layout
        if layout is not None and layout.account(target):
            spec["accountRef"] = {"name": layout.account(target)}
        self._world.api.create(DISPERSED_JOBS, self._namespace, self._fresh(_name(target), spec))
        return True

    def _create_when_gone(self, target: int, tries: int = RETRIES) -> bool:
        """As GitOps does: create it again as soon as the name is free."""
        if self._world.api.find(DISPERSED_JOBS, self._namespace, _name(target)) is None:
            self.act(Verb.CREATE, target)
        elif tries and not self._world.calm:
            self._world.loop.in_world(RETRY_SECONDS, self._create_when_gone, target, tries - 1)
        return True

    def _move(self, body: Body) -> bool:
        """The resource names the other account, or none again if it named none; refused once the job is accepted."""
        moved = (body["spec"].get("accountRef") or {}).get("name") == SECOND_ACCOUNT
        return self._patch(body, {"spec": {"accountRef": None if moved else {"name": SECOND_ACCOUNT}}})

    def _delete(self, body: Body) -> bool:
        self._world.api.delete(DISPERSED_JOBS, self._namespace, body["metadata"]["name"])
        return True

    def _suspend(self, body: Body, *, wanted: bool) -> bool:
        if bool(body["spec"].get("suspend")) is wanted:
            return False
        life = self._world.history.of(body)
        if wanted:
            life.suspended_at.append(self._world.loop.time())
        else:
            life.wishes += 1
        return self._patch(body, {"spec": {"suspend": wanted}})

    def _replace(self, body: Body) -> bool:
        """kubectl replace with the manifest of the first day: annotations and finalizers go."""
        manifest = self._fresh(body["metadata"]["name"], body["spec"])
        after = self._world.api.replace(DISPERSED_JOBS, self._namespace, body["metadata"]["name"], manifest)
        self._world.history.note_write(body, after)
        return True

    def _clone(self, body: Body, *, with_status: bool) -> bool:
        self._clones += 1
        copied = without_server_fields(body, status=True)
        copied["metadata"]["name"] = f"{body['metadata']['name']}-c{self._clones}"
        self._bring_back(copied, body, with_status=with_status)
        return True

    def _restore(self, target: int, body: Body | None, *, with_status: bool) -> bool:
        """The backup is brought back after what is there was removed by force, or is gone already."""
        backup = self._backups.get(target)
        if backup is None:
            return False
        if body is not None:
            self._change(Verb.FORCE_DELETE, target, body)
        self._bring_back(without_server_fields(backup, status=True), backup, with_status=with_status)
        return True

    def _bring_back(self, copied: Body, source: Body, *, with_status: bool) -> None:
        status = copied.pop("status", None)
        made = self._world.api.create(DISPERSED_JOBS, self._namespace, copied)
        life, origin = self._world.history.of(made), self._world.history.of(source)
        life.copied_from = (origin.identity.uid, *origin.copied_from)
        if with_status and status:
            self._write_status(made, status)

    def _write_status(self, body: Body, status: Body | None) -> bool:
        """Bring the whole status to what is given; None throws it away."""
        changed = {**body, "status": status or {}}
        name = body["metadata"]["name"]
        after = self._world.api.replace(DISPERSED_JOBS, self._namespace, name, changed, subresource="status")
        self._world.history.note_write(body, after)
        return True

    def _patch(self, body: Body, patch: Body) -> bool:
        after = self._world.api.patch(DISPERSED_JOBS, self._namespace, body["metadata"]["name"], patch)
        self._world.history.note_write(body, after)
        return True

    def _fresh(self, name: str, spec: Body) -> Body:
        kind = {"apiVersion": "dispersed.dev/v1alpha1", "kind": "DispersedJob"}
        return kind | {"metadata": {"name": name, "namespace": self._namespace}, "spec": copy.deepcopy(spec)}


def _name(target: int) -> str:
    return f"job-{target}"
