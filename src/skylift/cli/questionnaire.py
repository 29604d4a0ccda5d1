"""The questions of `skylift advise`, asked one by one. Each answer is checked and saved before the next question; one
can go back to correct an earlier one."""

from __future__ import annotations

import copy
import shlex
import shutil
from pathlib import Path
from typing import Any

import click

from skylift.advice.advise import advise
from skylift.advice.questions import Question, answered, before, clear, get, next_open, put, skip, typed
from skylift.advice.reading import ProjectInvalid, parsed, placed, to_project
from skylift.advice.terminal import plain
from skylift.advice.wrapping import wrapped
from skylift.cli.answer_files import check_writable, text_of, write
from skylift.cli.output import counted

BACK, HELP, OPEN = "<", "?", "-"
WIDEST = 100
_NEW = {"project": "?"}
"""Stands in for the name while the first answer is looked at."""
_HOW = (
    "Enter leaves a question open, or keeps the answer that it has; - takes an answer away; < goes back; "
    "? explains; Ctrl-D stops, and the same command goes on."
)


def ask(path: Path, *, again: bool) -> Path:
    """Go on where the file ends. Answers the file."""
    check_writable(path)
    answers = _begun(path)
    if again:
        answers.pop("skipped", None)
    _say(f"Answers go to {path}. {_HOW}")
    here, section = next_open(answers), ""
    while here is not None:
        title = here.path.partition(".")[0] if "." in here.path else ""
        if title and title != section:
            click.secho(f"\n{title.capitalize()}", bold=True)
        section = title
        try:
            here = _one(here, answers, path)
        except (click.Abort, EOFError, KeyboardInterrupt):
            _stopped(path, answers)
            raise click.Abort from None
    return path


def _begun(path: Path) -> dict[str, Any]:
    """What the file holds. Answers that contradict each other are told now: with them no further one would do."""
    if not path.exists():
        return {}
    answers, lines = parsed(text_of(path), str(path))
    try:
        _check(to_project({**_NEW, **answers}, lines, str(path)))
    except ProjectInvalid as problem:
        raise problem if problem.message.startswith(str(path)) else placed(problem, lines, str(path)) from None
    return answers


def _check(project: Any) -> None:
    """Raises ProjectInvalid for whatever there would be no advice on."""
    from skylift.pricing.catalogue import catalogue

    advise(project, catalogue())


def _one(asked: Question, answers: dict[str, Any], path: Path) -> Question | None:
    """Until there is an answer that can be one, or none is wanted, or another question is. Answers the next one."""
    while True:
        text = _typed(asked, answers)
        if text == BACK:
            earlier = before(asked, answers)
            if earlier is not None:
                return earlier
            _say("this is the first question")
        elif text == HELP:
            _say(f"{asked.path}: {asked.allowed}. {_HOW}")
        elif _settled(asked, text, answers):
            write(path, answers)
            return next_open(answers)


def _typed(asked: Question, answers: dict[str, Any]) -> str:
    held = get(answers, asked.path)
    now = f"\nnow: {_shown(held)}" if held is not None else ""
    text: str = click.prompt(
        wrapped(f"{asked.text} [{_offer(asked)}]", _width()) + now,
        default="",
        show_default=False,
        prompt_suffix="\n> ",
    )
    return text.strip()


def _shown(held: Any) -> str:
    """As it would be typed."""
    if isinstance(held, list):
        return ", ".join(map(str, held))
    return {True: "yes", False: "no"}[held] if isinstance(held, bool) else plain(str(held))


def _offer(asked: Question) -> str:
    return ", ".join(asked.choices) or asked.example.partition("for example ")[2] or asked.kind


def _settled(asked: Question, text: str, answers: dict[str, Any]) -> bool:
    """Whether what was typed is an answer, or leaves the question as it may be left."""
    if text not in ("", OPEN):
        return _taken(asked, text, answers)
    if asked.path == "project" and (text or get(answers, "project") is None):
        _say("a name is needed: the answers are saved under it")
        return False
    if text or get(answers, asked.path) is None:
        clear(answers, asked.path)
        skip(answers, asked.path)
    return True


def _taken(asked: Question, text: str, answers: dict[str, Any]) -> bool:
    """Whether it is an answer, and does not contradict one that was given."""
    tried = copy.deepcopy(answers)
    clear(tried, asked.path)
    put(tried, asked.path, typed(asked, text))
    try:
        _check(to_project({**_NEW, **tried}, {}, "not an answer"))
    except ProjectInvalid as problem:
        click.echo(f"{problem.message}" + (f"\n  {problem.hint}" if problem.hint else ""), err=True)
        if not problem.message.startswith("not an answer"):
            click.echo(f"  answer otherwise, or go back with {BACK} and correct the other answer", err=True)
        return False
    answers.clear()
    answers.update(tried)
    return True


def _stopped(path: Path, answers: dict[str, Any]) -> None:
    """What is kept, and how to go on."""
    name, kept = shlex.quote(str(path)), answered(answers)
    if not kept:
        click.echo(f"\nNothing was answered, so nothing is kept: `skylift advise --save {name}` begins anew.", err=True)
        return
    click.echo(
        f"\n{counted(kept, 'answer')} kept in {path}, {counted(_left(answers), 'question')} open: "
        f"`skylift advise --save {name}` goes on, `skylift advise {name}` advises on what there is.",
        err=True,
    )


def _left(answers: dict[str, Any]) -> int:
    left, copied = 0, {**answers}
    while (one := next_open(copied)) is not None:
        skip(copied, one.path)
        left += 1
    return left


def _say(text: str) -> None:
    click.echo(wrapped(text, _width()))


def _width() -> int:
    return min(shutil.get_terminal_size().columns, WIDEST)
