"""The closed list of reasons, and the messages made from it."""

import re

import pytest

from dispersed_operator.model.reasons import MESSAGE_LIMIT, REASONS, Owner, Reason, docs_url, message


def test_every_reason_has_an_owner_a_meaning_and_a_remedy() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_a_word_that_a_condition_may_carry(reason: Reason) -> None:
    assert re.fullmatch("[A-Z][A-Za-z]*", reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_meaning_and_remedy_are_sentences(reason: Reason) -> None:
    info = REASONS[reason]
    assert info.meaning.endswith(".")
    assert info.remedy.endswith(".")


@pytest.mark.parametrize("reason", [r for r in Reason if REASONS[r].owner in (Owner.USER, Owner.ADMIN)])
def test_where_a_person_has_to_act_the_remedy_says_how(reason: Reason) -> None:
    assert REASONS[reason].remedy != "Nothing to do."


@pytest.mark.parametrize("reason", list(Reason))
def test_a_message_ends_in_the_remedy_and_the_page(reason: Reason) -> None:
    assert message(reason, "it happened").endswith(f"{REASONS[reason].remedy} See docs/reasons/{reason}.md")
    assert docs_url(reason) == f"docs/reasons/{reason}.md"


def test_a_message_begins_with_what_happened() -> None:
    assert message(Reason.PAUSED, " held by admin ").startswith("Held by admin. Remove the annotation")
    assert message(Reason.PAUSED, "Really?").startswith("Really? Remove")
    assert message(Reason.INVALID_REFERENCE, "spec.template.env[0]: no key").startswith(
        "spec.template.env[0]: no key. "
    )


def test_a_message_without_a_text_of_its_own_begins_with_the_meaning() -> None:
    assert message(Reason.RUNNING).startswith("The job runs. ")


@pytest.mark.parametrize("length", [MESSAGE_LIMIT - 200, MESSAGE_LIMIT, 10 * MESSAGE_LIMIT])
@pytest.mark.parametrize("reason", list(Reason))
def test_a_long_text_is_cut_but_never_remedy_and_page(reason: Reason, length: int) -> None:
    text = message(reason, "x" * length)
    assert len(text) <= MESSAGE_LIMIT
    assert text.endswith(f"{REASONS[reason].remedy} See {docs_url(reason)}")
