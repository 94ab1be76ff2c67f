from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_eval.tasks.letters import RULES, Options, lmms_eval, vlmevalkit

FOUR = {"A": "a red car", "B": "a blue truck", "C": "two cats", "D": "nothing"}
TWO = {"A": "yes", "B": "no"}


@pytest.mark.parametrize(
    ("answer", "options", "theirs", "lmms"),
    [
        ("B", FOUR, "B", "B"),
        ("\n b \n", FOUR, None, None),
        ("B.", FOUR, "B", "B"),
        ("(B)", FOUR, "B", "B"),
        (":B", FOUR, "B", "B"),
        ("[B]", FOUR, "B", None),
        ("**B**", FOUR, "B", None),
        ("B!", FOUR, "B", None),
        ('"B"', FOUR, None, None),
        ("B. two cats", FOUR, "B", "B"),  # the letter goes before the wording
        ("A or B", FOUR, None, None),
        ("A. or B)", FOUR, None, "A"),  # the first pattern that fits one letter
        ("E", FOUR, None, "E"),  # lmms-eval always knows five letters
        ("C", TWO, None, "C"),
        # An article, or the answer? One tool goes by where it stands, the other by the length.
        ("A picture of two cats", FOUR, "C", "C"),
        ("A photo shows two", FOUR, "A", None),
        ("It is A of course here", FOUR, "A", None),
        ("B is right, as anyone can see", FOUR, None, "B"),
        # "answer is" reads the next letter whatever follows it.
        ("the answer is c", FOUR, "C", None),
        ("The answer is blue, I think, all things well considered", FOUR, "B", None),
        ("The answer is **d", TWO, None, None),
        ("It shows two cats.", FOUR, "C", "C"),
        ("Two CATS", FOUR, "C", "C"),
        ("two cats and nothing", FOUR, None, None),
        ("nobody", TWO, "B", "B"),  # "no" is in it
        ("I would say that the picture shows two cats because " + "of what is seen " * 5, FOUR, None, "C"),
        ("Cannot determine the answer", FOUR, "Z", None),
        ("I can't process this file. B", FOUR, "Z", "B"),
        ("Z", FOUR, "Z", None),
        ("Failed to obtain answer via API B", FOUR, None, None),
        ("", FOUR, None, None),
    ],
)
def test_letters(answer: str, options: Options, theirs: str | None, lmms: str | None) -> None:
    assert vlmevalkit(answer, options) == theirs
    assert lmms_eval(answer, options) == lmms


def test_the_last_four_words_count() -> None:
    assert vlmevalkit("it must be D I think so", FOUR) == "D"
    assert vlmevalkit("it must be D I do think so", FOUR) is None


def test_a_fifth_option_has_a_letter_but_no_wording_for_lmms_eval() -> None:
    five = {**FOUR, "E": "a green bus"}
    assert (vlmevalkit("a green bus", five), lmms_eval("a green bus", five)) == ("E", None)


@given(letter=st.sampled_from("ABCD"), form=st.sampled_from(["{}", "{}.", "({})", " {}\n", "{},", "{}:", "{})."]))
def test_plain_answers_are_read_alike(letter: str, form: str) -> None:
    assert {rule(form.format(letter), FOUR) for rule in RULES.values()} == {letter}


@given(st.text(), st.dictionaries(st.sampled_from("ABCDEF"), st.text(min_size=1), min_size=1))
def test_any_text_gives_an_option_a_refusal_or_nothing(answer: str, options: Options) -> None:
    assert vlmevalkit(answer, options) in {*options, "Z", None}
    assert lmms_eval(answer, options) in {*"ABCDE", None}


@given(st.text(alphabet="abcdefgh ", max_size=30))
def test_nothing_is_read_where_neither_letter_nor_wording_stands(answer: str) -> None:
    for rule in RULES.values():
        assert rule(answer, {"A": "zebra", "B": "ox"}) is None
