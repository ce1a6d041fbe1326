"""The writes: what becomes of an object, or why not.

The order of the checks is that of the real server, so that a request with two faults gets the same answer.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from random import Random
from typing import Any

from tests.simulation.cluster.bodies import (
    content,
    content_faults,
    merged,
    metadata_faults,
    metadata_type_faults,
    name_faults,
    tidy_metadata,
)
from tests.simulation.cluster.etcd import Etcd, Key, Stored
from tests.simulation.cluster.failures import (
    Json,
    Refused,
    already_exists,
    bad_request,
    cause,
    conflict,
    invalid,
    modified,
    not_found,
)
from tests.simulation.cluster.kinds import KindSpec, Route, served

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


class Verbs:
    """Create, patch, replace and delete on one store. Bodies given in are left alone; what is returned is stored."""

    def __init__(self, etcd: Etcd, rng: Random) -> None:
        self._etcd = etcd
        self._rng = rng

    def create(self, at: Route, body: Json) -> Stored:
        """POST to a collection."""
        spec = at.spec
        given = self._judged_head(at, body, "")
        metadata = tidy_metadata(given, self._birth(spec))
        if at.namespace:
            metadata["namespace"] = at.namespace
        if "name" not in metadata and "generateName" in metadata:
            metadata["name"] = metadata["generateName"] + "".join(self._rng.choices(_SUFFIX, k=5))
        fresh = {"apiVersion": spec.api_version, "kind": spec.kind, "metadata": metadata}
        fresh |= content(spec, {name: value for name, value in body.items() if name != "status" or not spec.custom})
        name = metadata.get("name", "")
        self._check(spec, name, name_faults(name) + metadata_faults(metadata) + content_faults(spec, fresh, None))
        if at.namespace:
            self._check_namespace(at)
        if given.get("resourceVersion") not in (None, ""):
            raise Refused(500, "", "resourceVersion should not be set on objects to be created")
        key = Key(at.namespace, name)
        if self._etcd.get(spec, key) is not None:
            raise already_exists(spec.group, spec.plural, name)
        return self._etcd.put(spec, key, fresh | spec.unseen(), bare=spec.default_status is not None)

    def patch(self, at: Route, patch: Any) -> Stored:
        """PATCH with a merge patch, of the resource or of its status."""
        old = self.existing(at)
        if not isinstance(patch, dict):
            raise bad_request("error decoding patch: it is no object")
        return self._update(at, old, merged(old.body, patch), patching=True)

    def replace(self, at: Route, body: Json) -> Stored:
        """PUT, of the resource or of its status."""
        given = self._judged_head(at, body, at.name)
        old = self.existing(at)
        uid = given.get("uid")
        if uid not in (None, "", old.body["metadata"]["uid"]):
            raise conflict(
                at.spec.group, at.spec.plural, at.name, "StorageError: invalid object: Precondition failed: UID"
            )
        return self._update(at, old, merged({}, body), patching=False)

    def delete(self, at: Route, options: Json) -> Stored | None:
        """DELETE. The object if it stays for its finalizers, None if it is gone."""
        spec, old = at.spec, self.existing(at)
        metadata = old.body["metadata"]
        conditions = options.get("preconditions") or {}
        for name in ("uid", "resourceVersion"):
            if conditions.get(name) not in (None, metadata[name]):
                raise conflict(spec.group, spec.kind, at.name, f"the {name} in the precondition does not match")
        key = Key(at.namespace, at.name)
        if spec.plural == "namespaces":
            return self._terminate_namespace(at, old)
        if not metadata.get("finalizers"):
            self._etcd.remove(spec, key)
            return None
        if "deletionTimestamp" in metadata:
            return old
        marked = metadata | {"deletionTimestamp": self._time(), "deletionGracePeriodSeconds": 0}
        if spec.custom:
            marked["generation"] += 1
        return self._etcd.put(spec, key, old.body | {"metadata": marked})

    def existing(self, at: Route) -> Stored:
        """The object; raises its 404."""
        stored = self._etcd.get(at.spec, Key(at.namespace, at.name))
        if stored is None or at.subresource not in ("", "status"):
            raise not_found(at.spec.group, at.spec.plural, at.name)
        return stored

    def _update(self, at: Route, old: Stored, new: Json, *, patching: bool) -> Stored:
        spec = at.spec
        given = self._patched_head(at, new) if patching else new["metadata"]
        self._check_version(at, old, given)
        fresh = self._of_status(spec, old, new) if at.subresource else self._of_resource(at, old, new, given)
        if fresh == old.body and not old.bare:
            return old
        metadata = fresh["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self._etcd.remove(spec, Key(at.namespace, at.name))
            return Stored(fresh, old.version)
        return self._etcd.put(spec, Key(at.namespace, at.name), fresh)

    def _of_status(self, spec: KindSpec, old: Stored, new: Json) -> Json:
        """The old object with the new status; everything else in the request is ignored."""
        fresh = {name: value for name, value in old.body.items() if name != "status"}
        fresh["metadata"] = dict(old.body["metadata"])
        fresh |= spec.unseen()
        if "status" in new and new["status"] is not None:
            fresh["status"] = spec.schema.properties["status"].shaped(new["status"])
            faults = spec.schema.properties["status"].faults(fresh["status"], "status")
            self._check(spec, fresh["metadata"]["name"], faults)
        return fresh

    def _of_resource(self, at: Route, old: Stored, new: Json, given: Json) -> Json:
        """The new object with the old status, and with the server's part of the metadata."""
        spec, before = at.spec, old.body["metadata"]
        metadata = tidy_metadata(given, before)
        metadata |= {name: before[name] for name in ("namespace", "resourceVersion") if name in before}
        faults = metadata_faults(metadata) + _deletion_faults(before, given, metadata)
        if given.get("uid") not in (None, "", before["uid"]):
            faults.append(cause("metadata.uid", "Invalid", "field is immutable"))
        head = {"apiVersion": spec.api_version, "kind": spec.kind, "metadata": metadata}
        status = {"status": old.body["status"]} if spec.custom and "status" in old.body else {}
        apart = ("status",) if spec.custom else ()
        fields, wanted = _fields(old.body, *apart), _fields(new, *apart)
        # A merge leaves what the patch does not name as it was, the very same objects.
        if wanted.keys() != fields.keys() or any(wanted[name] is not value for name, value in fields.items()):
            shaped = content(spec, wanted)
            if spec.custom and shaped != fields:
                metadata["generation"] = before["generation"] + 1
            fields = shaped
            faults += content_faults(spec, fields | status, old.body)
        self._check(spec, at.name, faults)
        return head | fields | status

    def _judged_head(self, at: Route, body: Any, name: str) -> Json:
        """The metadata of a whole body, if its head fits the path."""
        spec = at.spec
        if not isinstance(body, dict) or not body.get("kind"):
            raise bad_request("the object provided is unrecognized: Object 'Kind' is missing")
        metadata = body.get("metadata") or {}
        faults = metadata_type_faults(metadata)
        if faults:
            raise bad_request(f"the object cannot be handled as a {spec.kind}: {faults[0]}")
        self._check_head(at, body, metadata, name)
        return dict(metadata)

    def _patched_head(self, at: Route, new: Json) -> Json:
        """The metadata of a patched object, if it can be decoded and still fits the path."""
        metadata = new.get("metadata") or {}
        faults = metadata_type_faults(metadata)
        if faults:
            raise Refused(422, "Invalid", f' "" is invalid: patch: {faults[0]}', {"causes": []})
        self._check_head(at, new, metadata, at.name)
        return dict(metadata)

    def _check_head(self, at: Route, body: Json, metadata: Json, name: str) -> None:
        if name and metadata.get("name") != name:
            raise bad_request(f"the name of the object does not match the name on the URL ({name})")
        if metadata.get("namespace") not in (None, "", at.namespace):
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if body["kind"] != at.spec.kind:
            fault = cause("kind", "Invalid", f"must be {at.spec.kind}")
            raise invalid(at.spec.group, body["kind"], str(metadata.get("name", "")), [fault])

    def _check_version(self, at: Route, old: Stored, given: Json) -> None:
        """The compare of compare-and-swap. Custom kinds do not take an update without a version."""
        spec, version = at.spec, given.get("resourceVersion")
        if version in (None, "", "0"):
            if spec.custom:
                fault = cause("metadata.resourceVersion", "Invalid", "must be specified for an update")
                raise invalid(spec.group, spec.plural, at.name, [fault])
        elif not (isinstance(version, str) and version.isdigit()):
            raise Refused(500, "", "the resourceVersion is no number")
        elif int(version) != old.version:
            raise modified(spec.group, spec.plural, at.name)

    def _check(self, spec: KindSpec, name: str, faults: list[Json]) -> None:
        if faults:
            raise invalid(spec.group, spec.kind, name, faults)

    def _check_namespace(self, at: Route) -> None:
        namespace = self._etcd.get(served()["", "namespaces"], Key("", at.namespace))
        if namespace is None:
            raise not_found("", "namespaces", at.namespace)
        if "deletionTimestamp" in namespace.body["metadata"]:
            message = f"unable to create new content in namespace {at.namespace} because it is being terminated"
            raise Refused(403, "Forbidden", message, {"group": at.spec.group, "kind": at.spec.plural})

    def _terminate_namespace(self, at: Route, old: Stored) -> Stored:
        """Mark it; its contents and then itself go by `controllers`."""
        if "deletionTimestamp" in old.body["metadata"]:
            return old
        metadata = old.body["metadata"] | {"deletionTimestamp": self._time()}
        body = old.body | {"metadata": metadata, "status": {"phase": "Terminating"}}
        return self._etcd.put(at.spec, Key("", at.name), body)

    def _birth(self, spec: KindSpec) -> Json:
        uid = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        birth: Json = {"uid": uid, "creationTimestamp": self._time()}
        return birth | {"generation": 1} if spec.custom else birth

    def _time(self) -> str:
        return datetime.fromtimestamp(int(self._etcd.now()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _deletion_faults(before: Json, given: Json, metadata: Json) -> list[Json]:
    """What nobody may do to the deletion of an object: begin or undo it by an update, or add a finalizer under way."""
    if "deletionTimestamp" not in before:
        begun = given.get("deletionTimestamp") is not None
        return [cause("metadata.deletionTimestamp", "Invalid", "field is immutable")] if begun else []
    if set(metadata.get("finalizers", ())) <= set(before.get("finalizers", ())):
        return []
    words = "no new finalizers can be added if the object is being deleted"
    return [cause("metadata.finalizers", "Forbidden", words)]


def _fields(body: Json, *without: str) -> Json:
    return {name: value for name, value in body.items() if name not in ("apiVersion", "kind", "metadata", *without)}
