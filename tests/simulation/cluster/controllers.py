"""What the controllers of a cluster do for us: the garbage collector and the deletion of namespaces."""

from __future__ import annotations

from tests.simulation.cluster.etcd import Etcd, Key, shelf_of
from tests.simulation.cluster.kinds import KindSpec, Route, served
from tests.simulation.cluster.verbs import Verbs


def collect_garbage(etcd: Etcd, verbs: Verbs) -> int:
    """Delete what names owners that are all gone; how many objects were deleted or marked."""
    alive = {stored.body["metadata"]["uid"] for _, _, stored in etcd.everything()}
    orphaned = []
    for shelf, key, stored in etcd.everything():
        owners = stored.body["metadata"].get("ownerReferences") or ()
        if owners and not any(owner["uid"] in alive for owner in owners):
            orphaned.append((shelf, key))
    return _delete(etcd, verbs, orphaned)


def empty_namespaces(etcd: Etcd, verbs: Verbs) -> int:
    """Delete the contents of namespaces that are being deleted, and the empty ones; how many objects that concerned."""
    namespaces = served()["", "namespaces"]
    ending = [key for key, held in etcd.sorted(namespaces) if "deletionTimestamp" in held.body["metadata"]]
    contents = [(shelf, key) for shelf, key, _ in etcd.everything() if Key("", key.namespace) in ending]
    count = _delete(etcd, verbs, contents)
    for key in ending:
        if not any(held.namespace == key.name for _, held, _ in etcd.everything()):
            etcd.remove(namespaces, key)
            count += 1
    return count


def _delete(etcd: Etcd, verbs: Verbs, targets: list[tuple[str, Key]]) -> int:
    specs: dict[str, KindSpec] = {shelf_of(spec): spec for spec in served().values()}
    count = 0
    for shelf, key in targets:
        before = etcd.version
        verbs.delete(Route(specs[shelf], key.namespace, key.name, ""), {})
        count += etcd.version > before
    return count
