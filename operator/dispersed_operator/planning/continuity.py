"""Is the account that is asked now the one that a job or a request was recorded under?

A key that was rotated to another account makes every job look gone and every create look lost (failure modes 28 and
55). So no negative answer counts until continuity is shown: same host and key; or rows that carry the same account
uuid; or a job recorded under the old key that the new one can read.
"""

from __future__ import annotations

from dispersed_operator.model import naming
from dispersed_operator.model.intent import AccountMark
from dispersed_operator.model.observed import JobResource
from dispersed_operator.model.remote import RemoteJob
from dispersed_operator.planning.vocabulary import AccountFacts


def is_same_account(recorded: AccountMark | None, account: AccountFacts) -> bool:
    """Whether continuity from `recorded` to the present account is shown. Nothing recorded shows nothing."""
    asked = account.mark
    if recorded is None or asked is None:
        return False
    if recorded.host == asked.host and recorded.public_key == asked.public_key:
        return True
    if recorded.identity is not None and recorded.identity == asked.identity:
        return True
    return recorded.public_key in account.continuous_keys


def proven_key(resource: JobResource, row: RemoteJob) -> str | None:
    """The public key that a row, listed with the present key, proves to be of the same account: the one under which
    this resource recorded that very job. A record that names another's job proves nothing (failure mode 52)."""
    record, parsed = resource.record, naming.parse_title(row.title)
    if record is None or record.account is None or parsed is None or record.uuid != row.uuid:
        return None
    ours = parsed.uid == naming.uid_mark(resource.uid) and parsed.token == record.token
    return record.account.public_key if ours else None
