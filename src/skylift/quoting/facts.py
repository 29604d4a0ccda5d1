"""What the document and the input do not say of a run: how long loops are, how wide maps, which way choices go.

From whoever asks first, else from the history, else from nobody: then the answer says which option supplies it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from skylift.errors import AuthorError
from skylift.history import History
from skylift.pricing.names import nearest
from skylift.quoting.tree import Times
from skylift.units import parse_bytes, parse_duration_ms

MOST = 1_000_000_000
"""Times that something is done."""


class AnswerInvalid(AuthorError):
    """An answer to what a quote asks for that cannot be used."""

    code = "QUOTE"


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says of a run: by state, step or task."""

    work_ms: Mapping[str, int] = {}
    work_on_ms: Mapping[str, Mapping[str, int]] = {}
    """By step and type of machine."""
    width: Mapping[str, int] = {}
    rounds: Mapping[str, int] = {}
    chance: Mapping[str, Mapping[str, float]] = {}
    """By Choice state and the state that it goes to."""
    data_bytes: Mapping[str, int] = {}
    """What each attempt of a step reads."""


def read_answers(
    *,
    work: tuple[str, ...] = (),
    width: tuple[str, ...] = (),
    rounds: tuple[str, ...] = (),
    chance: tuple[str, ...] = (),
    data: tuple[str, ...] = (),
) -> Answers:
    """From the options of a command line. Raises AnswerInvalid, or InvalidAmount."""
    plain: dict[str, int] = {}
    on: dict[str, dict[str, int]] = {}
    for text in work:
        step, value = _pair("--work", text, "STEP=10m")
        name, at, machine = step.rpartition("@")
        ms = parse_duration_ms(value, f"--work {step}")
        if at:
            on.setdefault(name, {})[machine] = ms
        else:
            plain[step] = ms
    return Answers(
        work_ms=plain,
        work_on_ms=on,
        width=dict(_number("--width", text, "MAP=100") for text in width),
        rounds=dict(_number("--rounds", text, "LOOP=5") for text in rounds),
        chance=_chances(chance),
        data_bytes={
            step: parse_bytes(size, f"--data {step}") for step, size in (_pair("--data", t, "STEP=2GiB") for t in data)
        },
    )


def _pair(option: str, text: str, example: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not equals or not name.strip() or not value.strip():
        raise AnswerInvalid(
            f"{option} {text!r} is not a name and a value",
            hint=f"write {option} {example}; a parameter of that name is reached by --param {option[2:]}={text}",
        )
    return name.strip(), value.strip()


def _number(option: str, text: str, example: str) -> tuple[str, int]:
    name, value = _pair(option, text, example)
    if not value.isascii() or not value.isdigit():
        raise AnswerInvalid(
            f"{option} {text!r}: {value!r} is not a whole number of 0 or more", hint=f"write {option} {example}"
        )
    if int(value) > MOST:
        raise AnswerInvalid(f"{option} {text!r}: more than {MOST:,} times is beyond any run", hint="give fewer")
    return name, int(value)


def _chances(texts: tuple[str, ...]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for text in texts:
        state, value = _pair("--chance", text, '"if x=NEXT:0.3"')
        goes_to, colon, share = value.rpartition(":")
        try:
            chance = float(share)
        except ValueError:
            chance = -1.0
        if not colon or not 0 <= chance <= 1:
            raise AnswerInvalid(
                f"--chance {text!r}: {share!r} is not a probability of a way", hint='write --chance "CHOICE=NEXT:0.3"'
            )
        found.setdefault(state, {})[goes_to.strip()] = chance
    return found


class Known:
    """The `Facts` of a walk: answers, then history."""

    def __init__(self, answers: Answers, history: History) -> None:
        self._answers = answers
        self._history = history
        self.asked: dict[str, set[str]] = {"width": set(), "rounds": set(), "chance": set()}
        """What has been asked for, by kind: what an answer may name."""

    def rounds(self, state: str, again: tuple[str, ...]) -> Times:
        self.asked["rounds"].add(state)
        if state in self._answers.rounds:
            return Times(seen=(self._answers.rounds[state],), why="as you say")
        seen = [count for way in self._history.ways if (count := _rounds(way.transitions, state, again)) is not None]
        if seen:
            return Times(seen=tuple(seen), why=f"of {len(seen)} runs before")
        return Times(why=f'how often it goes round is not known: --rounds "{state}=N"')

    def width(self, state: str) -> Times:
        self.asked["width"].add(state)
        if state in self._answers.width:
            return Times(seen=(self._answers.width[state],), why="as you say")
        seen = tuple(width for way in self._history.ways for width in way.widths.get(state, ()))
        if seen:
            return Times(seen=seen, why=f"of {len(seen)} times before")
        return Times(why=f'how many items it has is not known: --width "{state}=N"')

    def chances(self, state: str, goes_to: tuple[str, ...]) -> tuple[tuple[float | None, ...], str]:
        self.asked["chance"].add(state)
        said = self._answers.chance.get(state)
        if said is not None:
            return _said(state, said, goes_to), "as you say"
        counts = [sum(way.transitions.get((state, way_), 0) for way in self._history.ways) for way_ in goes_to]
        if sum(counts):
            whole = sum(counts) + 0.5 * len(counts)  # Jeffreys: what was not seen in few runs may yet happen
            shown = ", ".join(f"{name} {count}" for name, count in zip(goes_to, counts, strict=True))
            return tuple((count + 0.5) / whole for count in counts), f"as before: {shown} times"
        return (
            (None,) * len(goes_to),
            f'which way it goes is not known: --chance "{state}={goes_to[0]}:0.5"',
        )

    def check(self, steps: Collection[str], tasks: Collection[str]) -> None:
        """Whether every answer names something there is. Raises AnswerInvalid."""
        names = (*steps, *tasks)
        for option, given, known in (
            ("--work", {*self._answers.work_ms, *self._answers.work_on_ms}, names),
            ("--data", self._answers.data_bytes, names),
            ("--width", self._answers.width, self.asked["width"]),
            ("--rounds", self._answers.rounds, self.asked["rounds"]),
            ("--chance", self._answers.chance, self.asked["chance"]),
        ):
            for name in given:
                if name not in known:
                    raise AnswerInvalid(
                        f"{option} {name!r}: nothing here is asked for by that name", hint=_hint(name, known)
                    )


def _hint(name: str, known: Collection[str]) -> str:
    near = nearest(name, known)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(repr(one) for one in list(dict.fromkeys(known))[:8])
    return f"there are: {shown}" if shown else "nothing of this kind is unknown here: leave it out"


def _rounds(transitions: Mapping[tuple[str, str], int], state: str, again: tuple[str, ...]) -> float | None:
    """How often it went round for each time that it was left."""
    left = {way: count for (source, way), count in transitions.items() if source == state}
    if not left:
        return None
    rounds = sum(left.get(way, 0) for way in again)
    return rounds / max(1, sum(left.values()) - rounds)


def _said(state: str, said: Mapping[str, float], goes_to: tuple[str, ...]) -> tuple[float, ...]:
    """What is not named shares what is left."""
    for name in said:
        if name not in goes_to:
            raise AnswerInvalid(
                f"--chance {state!r} does not go to {name!r}", hint=f"it goes to: {', '.join(map(repr, goes_to))}"
            )
    left, others = 1 - sum(said.values()), len(goes_to) - len(said)
    if left < -1e-9 or (not others and abs(left) > 1e-9):
        raise AnswerInvalid(f"--chance {state!r}: the chances add up to {sum(said.values()):g}, not to 1")
    return tuple(said.get(name, max(0.0, left) / max(1, others)) for name in goes_to)


def of_names(table: Mapping[str, Any], step: str, task: str | None) -> Any:
    """What an option says of a step: by its own name, else by that of its task."""
    return table.get(step, table.get(task) if task is not None else None)
