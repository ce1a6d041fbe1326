"""A DispersedJob that adopts, in the states that tests need, and the facts around it.

The default story: the job `JOB` was made by hand an hour before the resource; the resource stands in a namespace whose
account allows adoption, and nobody else has a claim on the job.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dispersed_operator.model import naming
from dispersed_operator.model.observed import rfc3339
from dispersed_operator.planning.vocabulary import (
    Contest,
    Facts,
    Rest,
    Situation,
)
from tests.support.builders import (
    CREATED,
    IDENTITY,
    JOB,
    JobBuilder,
    a_job,
    a_run,
    facts,
    reads,
    stranger,
)

TOKEN = naming.create_token(IDENTITY, 1)
MARK = f"{TOKEN}:{JOB}"
FREE = Contest(allowed=True, owned=False, titled=True)
UNREAD = replace(FREE, titled=False)
FORBIDDEN = replace(FREE, allowed=False)
OWNED = replace(FREE, owned=True)
PLAIN = stranger(JOB, task="PERSISTENT")


def adopter(**spec: Any) -> JobBuilder:
    """One that nobody has touched yet."""
    return a_job().spec({"task": "Persistent", "adopt": {"jobUUID": JOB}, **spec})


def marked(**spec: Any) -> JobBuilder:
    """With our finalizer and the mark, right before its job is recorded."""
    return adopter(**spec).held().annotated(naming.ADOPTED_ANNOTATION, MARK)


def taken(**spec: Any) -> JobBuilder:
    """With its job recorded."""
    return marked(**spec).record(signedAt=rfc3339(CREATED - 3600))


def seen(job: Any = PLAIN, contest: Contest = FREE, **changes: Any) -> Facts:
    """The job was read in this pass, and the contest judged with it."""
    return facts(**reads(job, [a_run()] if not job.terminal else []), contest=contest, **changes)


def told(action: Any) -> Situation:
    """What a rest says."""
    assert isinstance(action, Rest), action
    assert isinstance(action.situation, Situation)
    return action.situation
