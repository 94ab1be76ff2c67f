from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_eval.errors import UserError
from janus_eval.tasks import dpg
from janus_eval.tasks.dpg import Asked, judge_answers
from janus_eval.types import Response, Sample, Scored

HEADER = (
    "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple,question_natural_language"
)


def tree(*dependencies: Sequence[int], first_row: int = 1) -> list[Asked]:
    """Questions 1, 2, ... with these dependencies, alternating between two categories."""
    kinds = ("entity - whole", "attribute - color")
    return [
        Asked(k, tuple(parents), f"{kinds[(k - 1) % 2]} (thing {k})", f"{k}?", first_row + k - 1)
        for k, parents in enumerate(dependencies, 1)
    ]


def answers(text: str) -> dict[str, str]:
    """ "ynyy" -> {"1": "yes", "2": "no", ...}"""
    return {str(k): {"y": "yes", "n": "no"}.get(letter, letter) for k, letter in enumerate(text, 1)}


def sample(name: str, questions: Sequence[Asked]) -> Sample:
    rows = [{**question._asdict(), "dependency": list(question.dependency)} for question in questions]
    return Sample(name, {"prompt": name}, {"questions": rows}, name, "all", metadata={"seen": name < "m"})


TASK = dpg.DPG(
    "dpg", "", lambda ask: [], dpg.protocols({"prompts": 2}, "vqa"), categories=("entity", "attribute - color")
)


def scored(protocol: str, item: Sample, pictures: Sequence[str]) -> list[Scored]:
    judge = TASK.protocols[protocol].judge
    observed = [{"visual_qa": {"answers": answers(text)}} for text in pictures]
    return [Scored(item, k, TASK.score(item, k, Response(), seen, judge)) for k, seen in enumerate(observed)]


def values(protocol: str, items: Sequence[Scored]) -> dict[str, float | None]:
    metrics = TASK.metrics(TASK.protocols[protocol].judge)
    return {name: metric(items).value for name, metric in metrics.items()}


def test_a_no_cascades_down_the_tree() -> None:
    chain = tree([0], [1], [2], [0])
    assert judge_answers(chain, answers("yyyy")).value == 1.0
    assert judge_answers(chain, answers("nyyy")).value == 0.25
    assert judge_answers(chain, answers("ynyy")).value == 0.5
    score = judge_answers(chain, answers("nyyy"))
    assert score.parts["answered"] == {"1": 0.0, "2": 1.0, "3": 1.0, "4": 1.0}
    assert score.parts["judged"] == {"1": 0.0, "2": 0.0, "3": 0.0, "4": 1.0}


def test_all_parents_must_hold() -> None:
    assert judge_answers(tree([0], [0], [1, 2]), answers("yny")).value == pytest.approx(1 / 3)


def test_a_child_before_its_parent_sees_the_plain_answer() -> None:
    # Question 1 depends on 2, which is zeroed by 3 only afterwards: one pass, in the table's order.
    assert judge_answers(tree([2], [3], [0]), answers("yyn")).value == pytest.approx(1 / 3)


def test_children_before_their_parents_are_told() -> None:
    early, orphan = sample("a", tree([2], [3], [0])), sample("b", tree([0], [9]))
    judge = TASK.protocols["fixed"].judge
    (remark,) = TASK.remarks([*scored("fixed", early, ["yyn", "yyy"]), *scored("fixed", orphan, ["yy"])], judge)
    assert remark.startswith("2 questions depend on one of a later row") and remark.endswith("a 1, a 2")
    assert TASK.remarks(scored("fixed", orphan, ["yy"]), judge) == []


@pytest.mark.parametrize("answer", ["Yes", "yes.", " yes", "y e s", "", "yes it is"])
def test_only_the_exact_word_is_a_yes(answer: str) -> None:
    assert judge_answers(tree([0]), {"1": answer}).value == 0.0


def test_a_question_without_an_answer_leaves_the_picture_unscored() -> None:
    score = judge_answers(tree([0], [1], [0]), {"2": "yes"})
    assert (score.value, score.reason) == (None, "the instrument gave no answer to question 1, 3")


def test_a_missing_parent_leaves_the_picture_unscored() -> None:
    orphan = tree([0], [9])
    score = judge_answers(orphan, answers("yy"))
    assert score.value is None and "question 9" in score.reason
    # The script looks no further once a parent says no.
    assert judge_answers(tree([0], [1, 9]), answers("ny")).value == 0.0
    assert judge_answers([], {}).value is None


@given(st.data())
def test_dependencies_only_ever_lower_a_score(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 7))
    parents = [data.draw(st.lists(st.integers(0, size), min_size=1, max_size=3)) for _ in range(size)]
    replies = data.draw(st.text(alphabet="yn", min_size=size, max_size=size))
    score = judge_answers(tree(*parents), answers(replies))
    free = judge_answers(tree(*([0] for _ in range(size))), answers(replies))
    assert score.value is not None and free.value is not None
    assert score.value <= free.value == replies.count("y") / size
    assert judge_answers(tree(*parents), answers("y" * size)).value == 1.0


def test_first_row_is_lost_to_the_script() -> None:
    child, free = sample("a", tree([0], [1], first_row=0)), sample("b", tree([0], [0], first_row=0))
    assert [item.score.value for item in scored("fixed", child, ["yy"])] == [1.0]
    assert [item.score.value for item in scored("official", child, ["yy"])] == [None]
    assert [item.score.value for item in scored("fixed", free, ["ny"])] == [0.5]
    assert [item.score.value for item in scored("official", free, ["ny"])] == [1.0]


def test_the_script_keeps_the_last_stretch_of_a_prompt() -> None:
    rows = [q._replace(row=row) for q, row in zip(tree([0], [0], [0], [0]), (4, 5, 8, 9), strict=True)]
    assert [q.id for q in dpg.left_by_script(rows)] == [3, 4]


def test_means_over_questions_pictures_prompts() -> None:
    short, long = sample("a", tree([0], first_row=1)), sample("b", tree([0], [0], [0], [0], first_row=2))
    items = [*scored("fixed", short, ["y", "n"]), *scored("fixed", long, ["yyyy", "yyyn"])]
    assert values("fixed", items)["overall"] == pytest.approx(100 * (0.5 + 0.875) / 2)
    # Questions 1 and 3 are entities, 2 and 4 colours.
    assert values("fixed", items)["entity"] == pytest.approx(100 * (0 + 1 + 2 + 2) / 6)
    assert values("fixed", items)["attribute - color"] == pytest.approx(100 * (2 + 1) / 4)


def test_the_script_takes_categories_from_the_last_picture_before_zeroing() -> None:
    item = sample("a", tree([0], [1]))
    items = scored("official", item, ["yy", "ny"])
    assert values("official", items) == pytest.approx({"overall": 50.0, "entity": 0.0, "attribute - color": 100.0})
    assert values("fixed", scored("fixed", item, ["yy", "ny"])) == pytest.approx(
        {"overall": 50.0, "entity": 50.0, "attribute - color": 50.0}
    )


def test_a_failed_picture_is_counted_with_its_prompt() -> None:
    orphan, whole = sample("a", tree([0], [9])), sample("b", tree([0], [1]))
    items = [*scored("fixed", orphan, ["yy", "yn"]), *scored("fixed", whole, ["yy", "yy"])]
    estimate = TASK.metrics(TASK.protocols["fixed"].judge)["overall"](items)
    assert (estimate.value, estimate.unit, estimate.n, estimate.failed) == (100.0, "percent", 1, 1)
    category = TASK.metrics(TASK.protocols["fixed"].judge)["entity"](items)
    assert (category.value, category.n, category.failed) == (100.0, 2, 2)


def test_requests_and_queries() -> None:
    item = sample("a", tree([0], [1]))
    assert len(TASK.requests(item, TASK.protocols["fixed"].ask, lambda name, index: index)) == 4
    assert TASK.query("visual_qa", item, 0) == {"questions": {"1": "1?", "2": "2?"}}


def written(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


def test_the_table_is_read_row_by_row(tmp_path: Path) -> None:
    table = dpg.read_table(
        written(tmp_path / "t.csv", "a,A red cup.,,1,0,entity,whole,entity - whole (cup),Is there a cup?",
                'a,A red cup.,,2.0,"1, 1",attribute,color,"attribute - color (cup, red)",Is the cup red?')
    )  # fmt: skip
    assert table["a"]["prompt"] == "A red cup."
    questions = dpg.asked_of(Sample("a", {}, table["a"], "a", "x"))
    assert [(q.id, q.dependency, q.row, q.detailed, q.broad) for q in questions] == [
        (1, (0,), 0, "entity - whole", "entity"),
        (2, (1, 1), 1, "attribute - color", "attribute"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("item_id,text\na,b\n", "no column category_broad"),
        (HEADER + "\na,b,,1,none,e,w,t,q\n", "row 1.*'none'"),
        (HEADER + "\na,b,,x,0,e,w,t,q\n", "row 1.*'x'"),
        (HEADER + "\na,b,,1\n", "row 1.*9 columns"),
        ("", "no column"),
    ],
)
def test_a_bad_table_is_the_users_to_mend(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        dpg.read_table(path)


def test_detailed_and_broad_names(tmp_path: Path) -> None:
    def names(text: str) -> Mapping[str, str]:
        question = Asked(1, (0,), text, "?", 1)
        return {"detailed": question.detailed, "broad": question.broad}

    assert names("relation - non-spatial (a, b)") == {"detailed": "relation - non-spatial", "broad": "relation"}
    assert names("global") == {"detailed": "global", "broad": "global"}
