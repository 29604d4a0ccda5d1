"""A document and an input as the tree of what a run may do: what is known is followed, the rest is asked for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hand_written import CATCH_ALL, JSONPATH, NESTED, TASK

from skylift import parallel, pipeline, sleep, task
from skylift.asl.parse import load
from skylift.history import History, Ways
from skylift.quoting import known
from skylift.quoting.draws import percentile, play
from skylift.quoting.facts import AnswerInvalid, Answers, Known, read_answers
from skylift.quoting.known import UNKNOWN, Seen
from skylift.quoting.loads import order, paused_ms, shares
from skylift.quoting.tree import Beside, Either, Leaf, Loop, Many, Option, Pause, Sequence, Times, Tree, nodes
from skylift.quoting.walk import Outline, TooLong, outline


@task
def load_data(n: int) -> list[int]:
    return list(range(n))


@task
def train(x: int) -> float:
    return x / 2


@task
def pick(xs: list[float]) -> float:
    return max(xs)


def followed(
    target: Any, value: dict[str, Any], *, answers: Answers | None = None, history: History | None = None
) -> tuple[Outline, Known]:
    compiled = target.compile()
    machines = {name: load(part.definition) for name, part in compiled.pipelines.items()}
    facts = Known(answers or Answers(), history or History())
    return outline(load(compiled.definition), machines, value, facts), facts


def leaves(tree: Tree) -> list[str]:
    return [node.step for node in nodes(tree) if isinstance(node, Leaf)]


def one(tree: Tree, kind: type) -> Any:
    (found,) = [node for node in nodes(tree) if isinstance(node, kind)]
    return found


# What inputs tell ----------------------------------------------------------------------------------------------------


@pipeline
def over_input(rates: list[int]) -> float:
    return pick([train(rate) for rate in rates])


def test_the_width_of_a_map_comes_from_the_input() -> None:
    found, _ = followed(over_input, {"rates": [1, 2, 3]})
    fan = one(found.tree, Many)
    assert (fan.width.seen, fan.width.why) == ((3,), "from the input")
    assert shares(found.tree)["train"].attempts == 3 and shares(found.tree)["train"].width == 3
    assert order(found.tree) == {"train": (), "pick": ("train",)}


def test_an_empty_map_does_nothing() -> None:
    found, _ = followed(over_input, {"rates": []})
    assert shares(found.tree)["train"].attempts == 0


@pipeline
def counted(days: int) -> float:
    best = 0.0
    day = 0
    while day < days:
        best = train(day)
        day = day + 1
        sleep(60)
    return best


def test_a_loop_over_known_numbers_is_followed() -> None:
    found, _ = followed(counted, {"days": 4})
    assert leaves(found.tree) == ["train"] * 4
    entered = shares(found.tree)["train"]
    assert (entered.attempts, entered.rounds, entered.width) == (4, 4, 1)
    assert paused_ms(found.tree) == (240_000.0, ())


def test_a_loop_without_end_is_not_followed_for_ever() -> None:
    with pytest.raises(TooLong, match=r"more than 50,000 states"):
        followed(counted, {"days": 10**9})


@pipeline
def twice(n: int) -> float:
    data = load_data(n)
    scores = [train(x) for x in data]
    again = [train(int(score)) for score in scores]
    return pick(again)


def test_what_only_a_task_can_tell_is_asked_for() -> None:
    found, facts = followed(twice, {"n": 3})
    fans = [node for node in nodes(found.tree) if isinstance(node, Many)]
    assert [fan.width.known for fan in fans] == [False, False]
    assert '--width "train for x=N"' in fans[0].width.why
    assert facts.asked["width"] == {fan.state for fan in fans}
    entered = shares(found.tree)["train"]
    assert (entered.least, entered.most) == (0, None) and entered.open


def test_answers_fill_in() -> None:
    answers = read_answers(width=("train for x=5", "train for score=5"))
    found, _ = followed(twice, {"n": 3}, answers=answers)
    assert [node.width.seen for node in nodes(found.tree) if isinstance(node, Many)] == [(5,), (5,)]


@pipeline
def lengths(n: int, rates: list[int]) -> float:
    scores = [train(rate) for rate in rates]
    return pick([train(int(score)) for score in scores])


def test_the_length_of_a_list_of_results_is_known() -> None:
    found, _ = followed(lengths, {"n": 1, "rates": [1, 2]})
    assert [node.width.seen for node in nodes(found.tree) if isinstance(node, Many)] == [(2,), (2,)]


# Choices and loops that nobody can foresee ---------------------------------------------------------------------------


@pipeline
def branched(n: int) -> float:
    score = train(n)
    if score > 1:  # noqa: SIM108 - the statement is what is followed
        score = pick([score, 2.0])
    else:
        score = train(3)
    return train(int(score))


def test_a_choice_that_depends_on_a_result_goes_both_ways() -> None:
    found, _ = followed(branched, {"n": 1})
    either = one(found.tree, Either)
    assert [leaves(option.tree) for option in either.options] == [["pick"], ["train 2"]]
    assert not either.known and "--chance" in either.why
    assert order(found.tree)["train 3"] == ("pick", "train 2")
    assert [shares(found.tree)[step].least for step in ("train", "pick", "train 2", "train 3")] == [1, 0, 0, 1]


def test_the_history_says_how_often_a_way_was_taken() -> None:
    state = one(followed(branched, {"n": 1})[0].tree, Either).state
    ways = Ways(run_id="a", transitions={(state, "pick"): 3, (state, "train 2"): 0}, widths={})
    found, _ = followed(branched, {"n": 1}, history=History(ways=(ways,), runs=1))
    either = one(found.tree, Either)
    assert [option.chance for option in either.options] == [3.5 / 4, 0.5 / 4]
    assert "pick 3, train 2 0 times" in either.why
    assert shares(found.tree)["pick"].attempts == 3.5 / 4


@pipeline
def until(n: int) -> float:
    score = train(n)
    while score < 10:
        score = pick([score, train(n)])
    return score


def test_a_loop_until_a_result_is_asked_for_and_known_from_history() -> None:
    found, _ = followed(until, {"n": 1})
    loop = one(found.tree, Loop)
    assert leaves(loop.body) == ["train 2", "pick"]
    assert f'--rounds "{loop.state}=N"' in loop.rounds.why
    ways = tuple(
        Ways(run_id=str(rounds), transitions={(loop.state, "train 2"): rounds, (loop.state, "return"): 1}, widths={})
        for rounds in (2, 4)
    )
    again, _ = followed(until, {"n": 1}, history=History(ways=ways, runs=2))
    rounds = one(again.tree, Loop).rounds
    assert rounds.seen == (2, 4)
    entered = shares(again.tree)["pick"]
    assert (entered.attempts, entered.rounds, entered.rounds_high) == (3, 3, 4)
    assert paused_ms(again.tree) == (0.0, ())


@pipeline
def inner(x: int) -> float:
    return pick([train(x), train(x + 1)])


@pipeline
def outer(x: int) -> float:
    one, two = parallel(inner(x), train(x))
    return pick([one, two])


def test_called_pipelines_are_part_of_it() -> None:
    found, _ = followed(outer, {"x": 1})
    assert set(found.steps) == {"inner/train", "inner/train 2", "inner/pick", "train", "pick"}
    assert one(found.tree, Beside).parts
    assert set(order(found.tree)["pick"]) == {"inner/pick", "train"}


# Hand-written documents ----------------------------------------------------------------------------------------------


def test_jsonpath_documents_are_followed_too() -> None:
    facts = Known(Answers(), History())
    found = outline(load(JSONPATH), {}, {"items": [{"big": True}, {"big": False}, {"big": False}]}, facts)
    assert [(node.body, node.width.seen) for node in nodes(found.tree) if isinstance(node, Many)] == [
        (Leaf("Large"), (1,)),
        (Leaf("Small"), (2,)),
    ]
    assert one(found.tree, Pause).ms == 30_000


def test_handlers_of_errors_are_not_followed() -> None:
    found = outline(load(CATCH_ALL), {}, {}, Known(Answers(), History()))
    assert leaves(found.tree) == ["Work"]
    assert any("errors are taken not to happen" in note for note in found.notes)


def test_loops_in_a_map_are_rounds_of_its_width() -> None:
    answers = read_answers(rounds=("Again=3",))
    found = outline(load(NESTED), {}, {"items": [1, 2]}, Known(answers, History()))
    entered = shares(found.tree)["Try"]
    assert (entered.attempts, entered.rounds, entered.width) == (8, 4, 2), "once, and three times more"


# Values --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a + 1", 3),
        ("$b", [UNKNOWN, UNKNOWN]),
        ("$count($b)", 2),
        ("$count($b) > $a ? 'x' : 'y'", "y"),
        ("$b[0] + 1", UNKNOWN),
        ("$b[$zero]", UNKNOWN),
        ("$states.input.n * 2", 14),
        ("$states.result", UNKNOWN),
        ("$random()", UNKNOWN),
        ("$now()", UNKNOWN),
        ("$states.context.Execution.Id", UNKNOWN),
        ("$states.context.Map.Item.Value.rate", 0.5),
        ("$a +", UNKNOWN),
        ("$missing", UNKNOWN),
        ("$a.b.c", UNKNOWN),
    ],
)
def test_expressions_are_known_where_all_they_read_is(text: str, expected: Any) -> None:
    seen = Seen(input={"n": 7}, variables={"a": 2, "b": [UNKNOWN, UNKNOWN], "zero": 0}, item={"rate": 0.5}, index=0)
    assert known.expression(text, seen) == expected


def test_what_branches_agree_on_stays_known() -> None:
    assert known.merged({"a": 1, "b": 2}, {"a": 1, "b": 3}) == {"a": 1, "b": UNKNOWN}
    assert known.merged([1, 2], [1, 2, 3]) is UNKNOWN
    assert known.merged(1, True) is UNKNOWN


# Answers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"work": ("train",)}, "is not a name and a value"),
        ({"work": ("train=soon",)}, "--work train='soon' is not a time"),
        ({"work": ("train=-5m",)}, "is not a time"),
        ({"width": ("m=-3",)}, "is not a whole number"),
        ({"rounds": ("m=1.5",)}, "is not a whole number"),
        ({"chance": ("c=x:1.5",)}, "is not a probability"),
        ({"chance": ("c=x",)}, "is not a probability"),
        ({"data": ("s=lots",)}, "--data s='lots' is not an amount"),
    ],
)
def test_answers_that_mean_nothing_are_refused(given: dict[str, tuple[str, ...]], says: str) -> None:
    with pytest.raises(Exception, match=says.replace("(", r"\(")):
        read_answers(**given)


def test_an_answer_to_nothing_names_the_nearest() -> None:
    answers = read_answers(work=("trian=1m",))
    found, facts = followed(over_input, {"rates": [1]}, answers=answers)
    with pytest.raises(AnswerInvalid, match="'trian'") as raised:
        facts.check(found.steps, ["train", "pick"])
    assert raised.value.hint == "did you mean 'train'?"
    with pytest.raises(AnswerInvalid, match="does not go to 'nowhere'"):
        followed(branched, {"n": 1}, answers=read_answers(chance=(f"{_choice()}=nowhere:0.5",)))
    with pytest.raises(AnswerInvalid, match="add up to"):
        followed(branched, {"n": 1}, answers=read_answers(chance=(f"{_choice()}=pick:0.9", f"{_choice()}=train 2:0.9")))


def _choice() -> str:
    return str(one(followed(branched, {"n": 1})[0].tree, Either).state)


def test_what_is_not_named_shares_what_is_left() -> None:
    found, _ = followed(branched, {"n": 1}, answers=read_answers(chance=(f"{_choice()}=pick:0.3",)))
    assert [option.chance for option in one(found.tree, Either).options] == [0.3, 0.7]


def test_work_may_be_said_for_one_type_of_machine() -> None:
    answers = read_answers(work=("train@p3.2xlarge=1h", "train=2h"), data=("train=1G",))
    assert answers.work_on_ms == {"train": {"p3.2xlarge": 3_600_000}}
    assert answers.work_ms == {"train": 7_200_000} and answers.data_bytes == {"train": 2**30}


# Played --------------------------------------------------------------------------------------------------------------


def test_unknown_chances_span_from_the_cheap_to_the_dear() -> None:
    options = (
        Option(goes_to="a", tree=Pause(state="a", ms=1_000), chance=None),
        Option(goes_to="b", tree=Pause(state="b", ms=60_000), chance=None),
    )
    tree = Either(state="c", options=options, why="")
    assert percentile(play(tree, {}, {}, "low").time_ms, 0.5) == 1_000
    assert percentile(play(tree, {}, {}, "high").time_ms, 0.5) == 60_000


def test_chances_are_those_that_are_said() -> None:
    options = (
        Option(goes_to="a", tree=Pause(state="a", ms=0), chance=0.8),
        Option(goes_to="b", tree=Pause(state="b", ms=1_000), chance=0.2),
    )
    played = play(Either(state="c", options=options, why=""), {}, {}, "low")
    assert sum(played.time_ms) / 1_000 / len(played.time_ms) == pytest.approx(0.2, abs=0.07)
    assert played == play(Either(state="c", options=options, why=""), {}, {}, "low"), "the same seed, the same ranges"


def test_maps_take_the_slowest_and_loops_the_sum() -> None:
    three = Times(seen=(3,), why="")
    body = Pause(state="p", ms=1_000)
    assert play(Many(state="m", body=body, width=three), {}, {}, "low").time_ms[0] == 1_000
    assert play(Many(state="m", body=body, width=three, most=2), {}, {}, "low").time_ms[0] == 2_000
    assert play(Loop(state="l", body=body, rounds=three), {}, {}, "low").time_ms[0] == 3_000
    assert play(Sequence((body, Beside((body, Pause(state="q", ms=5_000))))), {}, {}, "low").time_ms[0] == 6_000


def test_trees_are_plain_data() -> None:
    tree = followed(outer, {"x": 1})[0].tree
    assert msgspec.json.decode(msgspec.json.encode(tree), type=Tree) == tree


RETRIED = {
    "StartAt": "A",
    "States": {
        "A": {
            "Type": "Task",
            "Resource": TASK + "train",
            "Retry": [
                {"ErrorEquals": ["Lambda.ServiceException"], "MaxAttempts": 6},
                {"ErrorEquals": ["ValueError"], "MaxAttempts": 2},
                {"ErrorEquals": ["States.ALL"]},
            ],
            "Next": "B",
        },
        "B": {"Type": "Task", "Resource": TASK + "train", "End": True},
    },
}


def test_how_often_a_state_tries_again() -> None:
    """What only a service's own trouble is tried again for is no failure of the work; States.ALL has three tries."""
    found = outline(load(RETRIED), {}, {}, Known(Answers(), History()))
    assert {name: kind.repeats for name, kind in found.steps.items()} == {"A": 5, "B": 0}
