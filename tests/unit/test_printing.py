"""What a command prints lines up, and steers no terminal."""

from __future__ import annotations

from dispersed_operator.printing import aligned, printable


def test_columns_line_up_and_lines_have_no_blanks_at_their_end() -> None:
    assert aligned(("A", "LONG"), [("first", ""), ("b", "x")]) == "A      LONG\nfirst\nb      x\n"


def test_a_text_of_a_stranger_cannot_steer_the_terminal_or_break_the_line() -> None:
    assert printable("a\x1b[31mb\nc\u202ed") == "a?[31mb?c?d"
    assert aligned(("A",), [("x\ny",)]) == "A\nx?y\n"
