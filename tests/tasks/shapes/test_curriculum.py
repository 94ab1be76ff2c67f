"""The curriculum: reproducible, within its vocabulary, true of its pictures, and silent about what is held out."""

from __future__ import annotations

import random
import re
from collections import Counter

import numpy as np

from janus_eval.tasks.mmbench import format_question
from janus_eval.tasks.shapes import curriculum, scenes, vqa
from janus_eval.tasks.shapes.descriptions import NUMBERS, PLURALS, parse
from janus_eval.tasks.shapes.scenes import COLOURS, SHAPES, Scene, to_picture
from janus_eval.tasks.shapes.sight import see

WHOLE = "What is in the picture?"
CONVERSATIONS: tuple[curriculum.Conversation, ...] = ("described", "asked")


def _tokens(text: str) -> list[str]:
    return re.findall(curriculum.TOKEN_PATTERN, text)


def _all_texts(rng: random.Random, count: int) -> list[str]:
    texts = [curriculum.drawing_example(rng).prompt for _ in range(count)]
    for conversation in CONVERSATIONS:
        for _ in range(count // 2):
            texts += [part for turn in curriculum.question_example(rng, conversation).turns for part in turn]
    return texts + [curriculum.text_example(rng) for _ in range(count)]


def test_the_same_stream_gives_the_same_examples() -> None:
    def some(seed: int) -> list[str]:
        return _all_texts(random.Random(seed), 20)

    assert some(1) == some(1) != some(2)
    first, second = (curriculum.drawing_example(random.Random(3)).image for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (64, 64, 3)
    assert (first == second).all()


def test_every_token_is_in_the_vocabulary_and_texts_survive_the_split() -> None:
    vocabulary = set(curriculum.vocabulary())
    assert len(vocabulary) <= 300
    for text in _all_texts(random.Random(4), 400):
        assert set(_tokens(text)) <= vocabulary, text
        assert "".join(_tokens(text)) == re.sub(r"[^\S\n]", "", text)


def test_words_to_write_are_spelled() -> None:
    assert _tokens('the word "C4T"') == ["the", "word", '"', "C", "4", "T", '"']


def test_captions_and_pictures_never_show_what_is_held_out() -> None:
    rng = random.Random(5)
    for _ in range(1500):
        assert parse(curriculum.drawing_example(rng).prompt).seen
    for _ in range(1500):
        assert scenes.is_seen(curriculum.random_scene(rng))
        assert scenes.is_seen(curriculum.text_scene(rng))


def test_no_text_names_what_is_held_out() -> None:
    banned = [f"{colour} {shape}" for colour, shape in scenes.HELD_OUT_PAIRS]
    banned += [f"{NUMBERS[count]} {PLURALS[shape]}" for count, shape in scenes.HELD_OUT_COUNTS]
    asked = {f"How many {PLURALS[shape]} are there?": NUMBERS[count] for count, shape in scenes.HELD_OUT_COUNTS}
    for text in _all_texts(random.Random(6), 700):
        assert not any(phrase in text for phrase in banned), text
        for question, count in asked.items():
            assert not (question in text and f". {count}\n" in text), text
        for word in re.findall(r"\b[A-Z0-9]{2,4}\b", text):
            assert scenes.word_seen(word), text


def test_captions_weigh_what_is_hard() -> None:
    rng = random.Random(7)
    prompts = [curriculum.drawing_example(rng).prompt for _ in range(2000)]
    coloured = sum(any(colour in prompt.split() for colour in COLOURS) for prompt in prompts) / len(prompts)
    related = sum(bool(parse(prompt).links) for prompt in prompts) / len(prompts)
    assert coloured > 0.4 and related > 0.25


def test_answers_are_true_of_the_picture() -> None:
    """Held against the oracle, which sees only the picture."""
    rng = random.Random(8)
    for _ in range(60):
        example = curriculum.question_example(rng, "described")
        sight = see(to_picture(example.image))
        for question, answer in example.turns:
            if question != WHOLE:
                assert vqa.answer(question, sight) == answer, question


def test_descriptions_tell_all_that_the_oracle_sees() -> None:
    rng = random.Random(13)
    told = 0
    for _ in range(80):
        example = curriculum.question_example(rng, "described")
        question, answer = example.turns[0]
        if question != WHOLE:
            continue
        told += 1
        sight = see(to_picture(example.image))
        seen = [(thing.colour, thing.shape) for thing in sorted(sight.detections, key=lambda thing: (thing.y, thing.x))]
        named = re.findall(rf"({'|'.join(COLOURS)}) ({'|'.join(scenes.SHAPES)})", answer)
        assert sorted(named) == sorted(seen)
        assert re.findall('"(.+?)"', answer) == [region.text for region in sight.regions]
    assert told > 30
    two = Scene((scenes.Thing("star", "blue", 48, 40, 12), scenes.Thing("circle", "red", 16, 32, 10)))
    assert curriculum.questions.whole_picture(two).answer == "a red circle left, a blue star bottom right"


def test_options_are_named_where_no_letter_is_asked_for() -> None:
    rng = random.Random(14)
    worded = 0
    for _ in range(200):
        for question, answer in curriculum.question_example(rng, "asked").turns:
            options = [line[3:] for line in question.split("\n")[1:] if line[1:3] == ". "]
            if options and "first letter" not in question:
                assert answer in options
                worded += 1
            elif options:
                assert answer in "ABCD", "a letter among letters would be read as another option's"
    assert worded > 100


def test_letters_and_yes_no_are_balanced() -> None:
    rng = random.Random(9)
    answers = Counter(
        answer
        for _ in range(400)
        for question, answer in curriculum.question_example(rng, "described").turns
        if "\n" in question
    )
    assert max(answers.values()) < 3 * answers["C"]
    scene = Scene()
    yes = 0
    for _ in range(400):
        scene = curriculum.random_scene(rng)
        yes += curriculum.questions.yes_no(scene, rng)[1] == "yes"
    assert 150 < yes < 250


def test_multiple_choice_is_asked_as_the_task_asks_it() -> None:
    rng = random.Random(10)
    asked = next(
        (question, answer)
        for _ in range(50)
        for question, answer in curriculum.question_example(rng, "described").turns
        if "\n" in question
    )
    lines = asked[0].split("\n")
    options = dict(line.split(". ") for line in lines[1:-2])
    assert format_question({"question": lines[0], "options": options, "hint": ""}) == asked[0]
    assert asked[1] in options


def test_every_shape_and_colour_is_drawn_often() -> None:
    rng = random.Random(12)
    things = Counter(
        word
        for _ in range(1000)
        for thing in curriculum.random_scene(rng).things
        for word in (thing.shape, thing.colour)
    )
    assert min(things[shape] for shape in SHAPES) > 300
    assert min(things[colour] for colour in COLOURS) > 150
