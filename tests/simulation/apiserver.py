"""An API server in the process: what the operator and its users can do to a real one, and nothing else.

The simulation needs thousands of clusters a minute, on a clock and with randomness of its own. This server keeps the
semantics that the protocol hangs on: compare-and-swap by resourceVersion, isolation of the status, the life of
finalizers, generations, defaults and pruning by the schema, listings in chunks, watches with a version for each event.
`tests/contract` runs one suite against it and against the real server; where the two differ, this one is wrong.

    server = ApiServer(now=clock.time, rng=random.Random(seed))
    server.add_namespace("team")
    server.create(DISPERSED_JOBS, "team", body)              # a user; raises Refused
    kube = client_over(server, random=rng.random, gate=gate) # a process's real KubeClient
    watch = server.subscribe(DISPERSED_JOBS)                 # a process's watch

Invariant: no body is shared. What goes in is copied, what comes out is a copy.

Not modelled: rights, managedFields (the operator drops them; a write that changes nothing else makes no version here),
ratcheting of rules, server-side apply, strategic merge patches, label selectors, deletion in the foreground.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from dispersed_operator.kube.resources import NAMESPACES, Resource
from tests.simulation.cluster.bodies import without_server_fields
from tests.simulation.cluster.controllers import collect_garbage, empty_namespaces
from tests.simulation.cluster.etcd import Etcd, Snapshot
from tests.simulation.cluster.failures import (
    Json,
    NotServed,
    Refused,
    about,
    bad_request,
    no_subresource,
)
from tests.simulation.cluster.kinds import KindSpec, Route, route, served
from tests.simulation.cluster.link import Gate, Reply, Sent, client_over, cut, failure, no_connection
from tests.simulation.cluster.listings import Listings
from tests.simulation.cluster.verbs import Verbs
from tests.simulation.cluster.watches import Subscription, WatchEvent, events_after

__all__ = [
    "ApiServer",
    "Gate",
    "Refused",
    "Reply",
    "Sent",
    "Snapshot",
    "Subscription",
    "WatchEvent",
    "client_over",
    "cut",
    "failure",
    "no_connection",
    "without_server_fields",
]

_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"


class ApiServer:
    """One cluster. `now` tells wall-clock seconds; uids and suffixes of generated names come from `rng`.

    resourceVersions are the decimal numbers of one counter for all kinds, as with etcd. The namespaces `kube-system`
    and `default` exist from the start.
    """

    def __init__(self, *, now: Callable[[], float], rng: Random, first_version: int = 1000) -> None:
        self._etcd = Etcd(now, first_version)
        self._verbs = Verbs(self._etcd, rng)
        self._listings = Listings(self._etcd)
        for name in ("kube-system", "default"):
            self.add_namespace(name)

    @property
    def version(self) -> int:
        """The version of the newest write to anything."""
        return self._etcd.version

    # As HTTP.

    def handle(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        content_type: str = _JSON,
        body: Any = None,
    ) -> tuple[int, Json]:
        """HTTP status and body of the answer: an object, a listing, a Status; `{}` if the path is not served."""
        status, text = self.handle_text(method, path, query or {}, content_type, body)
        return status, {} if text == NotServed.TEXT else json.loads(text)

    def handle_text(
        self, method: str, path: str, query: Mapping[str, str], content_type: str, body: Any
    ) -> tuple[int, str]:
        """`handle` with the answer as text: what goes over the line."""
        try:
            return self._handle(method, route(path), query, content_type, body)
        except NotServed:
            return 404, NotServed.TEXT
        except Refused as refused:
            return refused.status, json.dumps(refused.body)

    # What users and drivers do. Each returns a copy and raises `Refused`.

    def add_namespace(self, name: str) -> Json:
        """kubectl create namespace."""
        labels = {"kubernetes.io/metadata.name": name}
        body: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        return self.create(
            NAMESPACES, None, body | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
        )

    def get(self, res: Resource, namespace: str | None, name: str) -> Json:
        """kubectl get."""
        return self._asked("GET", res.path(namespace=namespace, name=name))

    def find(self, res: Resource, namespace: str | None, name: str) -> Json | None:
        """The object, or None."""
        try:
            return self.get(res, namespace, name)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None

    def bodies(self, res: Resource, namespace: str | None = None) -> list[Json]:
        """All objects of a kind by namespace and name, at once: for users who look and for invariants."""
        return [json.loads(held.text) for _, held in self._etcd.sorted(_spec(res), namespace or "")]

    def create(self, res: Resource, namespace: str | None, body: Json) -> Json:
        """kubectl create. A body with a resourceVersion is refused, see `without_server_fields`."""
        return self._asked("POST", res.path(namespace=namespace), body=body)

    def patch(
        self, res: Resource, namespace: str | None, name: str, body: Json, *, subresource: str | None = None
    ) -> Json:
        """kubectl patch --type=merge, with subresource="status" for the status."""
        path = res.path(namespace=namespace, name=name, subresource=subresource)
        return self._asked("PATCH", path, _MERGE_PATCH, body)

    def replace(
        self, res: Resource, namespace: str | None, name: str, body: Json, *, subresource: str | None = None
    ) -> Json:
        """kubectl replace: a PUT; without a resourceVersion in the body, on whatever version there is."""
        if not body["metadata"].get("resourceVersion"):
            version = self.get(res, namespace, name)["metadata"]["resourceVersion"]
            body = body | {"metadata": body["metadata"] | {"resourceVersion": version}}
        return self._asked("PUT", res.path(namespace=namespace, name=name, subresource=subresource), body=body)

    def delete(
        self,
        res: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Json:
        """kubectl delete --wait=false: the object if it stays for its finalizers, else a Status."""
        conditions = {"uid": uid, "resourceVersion": resource_version}
        options = {"preconditions": {key: value for key, value in conditions.items() if value is not None}}
        return self._asked("DELETE", res.path(namespace=namespace, name=name), body=options)

    def run_controllers(self) -> int:
        """Let the garbage collector and the namespace controller act once; how many objects they changed."""
        return collect_garbage(self._etcd, self._verbs) + empty_namespaces(self._etcd, self._verbs)

    # Watches, backups.

    def subscribe(self, res: Resource, namespace: str | None = None) -> Subscription:
        """A watch that has seen nothing yet: begin with its `relist()`."""
        return Subscription(self._etcd, _spec(res), namespace)

    def events_after(self, res: Resource, namespace: str | None, version: int) -> list[WatchEvent]:
        """What a watch from `version` on would have got until now."""
        return events_after(self._etcd, _spec(res), namespace, version)

    def snapshot(self) -> Snapshot:
        """The state of etcd now, to `restore`. Cheap."""
        return self._etcd.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Put etcd back: objects and the counter of versions go back. Watches need a relist, listings expire."""
        self._etcd.restore(snapshot)
        self._listings.expire()

    def expire_listings(self) -> None:
        """Every page that is out is continued by 410 from now on (etcd was compacted)."""
        self._listings.expire()

    def _asked(self, method: str, path: str, content_type: str = _JSON, body: Json | None = None) -> Json:
        answer: Json = json.loads(self._handle(method, route(path), {}, content_type, body)[1])
        return answer

    def _handle(
        self, method: str, at: Route, query: Mapping[str, str], content_type: str, body: Any
    ) -> tuple[int, str]:
        if at.subresource == "status" and not at.spec.custom:
            raise no_subresource()
        if not at.name:
            return self._on_collection(method, at, query, body)
        match method:
            case "GET":
                return 200, self._verbs.existing(at).text
            case "PATCH":
                if content_type != _MERGE_PATCH:
                    raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
                return 200, self._verbs.patch(at, body).text
            case "PUT":
                return 200, self._verbs.replace(at, body).text
            case "DELETE" if not at.subresource:
                return 200, self._deleted(at, body or {})
        raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _on_collection(self, method: str, at: Route, query: Mapping[str, str], body: Any) -> tuple[int, str]:
        if method == "GET":
            return 200, self._listings.page(at, query)
        if method != "POST":
            raise bad_request("only GET and POST are served here")
        if at.spec.namespaced and not at.namespace:
            raise NotServed
        return 201, self._verbs.create(at, body).text

    def _deleted(self, at: Route, options: Json) -> str:
        uid = self._verbs.existing(at).body["metadata"]["uid"]
        left = self._verbs.delete(at, options)
        if left is not None:
            return left.text
        details = about(at.spec.group, at.spec.plural, at.name) | {"uid": uid}
        return json.dumps(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        )


def _spec(res: Resource) -> KindSpec:
    return served()[res.group, res.plural]
