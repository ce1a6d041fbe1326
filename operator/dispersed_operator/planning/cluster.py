"""Is this the cluster that made the jobs, or a copy of it that was started beside it?

A snapshot carries everything: uids, intents, records, and the uid of kube-system, so the copy has the same cluster id
and takes the original's jobs for its own. What a snapshot does not carry is the authority that signs the API server's
certificate. Each account therefore remembers, in its status and so in the snapshot, which authorities vouched for the
API server; if none of them does any more, creates, cancels and sweeps wait for a person (failure mode 70).

An authority that is rotated with an overlap, as Kubernetes asks for, is recognised by the certificates that stay. An
API server that is reached without a certificate authority of its own cannot be told apart: there is no guard then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from dispersed_operator.model import naming
from dispersed_operator.model.account_names import annotate_command
from dispersed_operator.model.keys import ResourceKey
from dispersed_operator.model.reasons import Reason
from dispersed_operator.planning.vocabulary import Problem

Body = Mapping[str, Any]
FIELD = "apiServerCAs"


def cluster_problem(
    key: ResourceKey, body: Body, present: tuple[str, ...], others: Iterable[Body] = ()
) -> Problem | None:
    """Why this may be another cluster than the one that the account was used in; None if it is not.

    `present` are the fingerprints of the authorities that vouch for the API server now, none if there is no guard.
    `others` are the other accounts: one that remembers nothing yet does not speak for a cluster that another disowns.
    """
    if not present:
        return None
    speechless = not remembered(body) and not _is_confirmed(body, present)
    if _disowns(body, present) or (speechless and any(_disowns(other, present) for other in others)):
        code = confirmation_code(present)
        return Problem(
            Reason.CLUSTER_IDENTITY_CHANGED,
            "the certificate authority of the API server is another one than before; this may be a copy of the cluster "
            "beside the original, so nothing is created or cancelled; if the authority was replaced: "
            f"{annotate_command(key)} "
            f"{naming.CONFIRM_CLUSTER_ANNOTATION}={code} (the code names the present authorities)",
        )
    return None


def remembered(body: Body) -> tuple[str, ...]:
    """The fingerprints that the account remembers."""
    found = (body.get("status") or {}).get(FIELD)
    return tuple(str(item) for item in found) if isinstance(found, list) else ()


def confirmation_code(present: tuple[str, ...]) -> str:
    """Names exactly these authorities, for a person's answer."""
    return hashlib.sha256(" ".join(sorted(present)).encode()).hexdigest()[:12]


def _disowns(body: Body, present: tuple[str, ...]) -> bool:
    """Whether the account remembers other authorities only, and nobody has confirmed the present ones."""
    known = remembered(body)
    return bool(known) and not set(known) & set(present) and not _is_confirmed(body, present)


def _is_confirmed(body: Body, present: tuple[str, ...]) -> bool:
    annotations = body["metadata"].get("annotations") or {}
    return bool(annotations.get(naming.CONFIRM_CLUSTER_ANNOTATION) == confirmation_code(present))
