"""The questions of `skylift advise`, asked one by one. Each answer is checked and saved before the next question."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click

from skylift.advice.facts import facts
from skylift.advice.questions import Question, next_open, put, questions, skip, typed
from skylift.advice.reading import ProjectInvalid, parsed, to_project
from skylift.advice.rules import contradicting

_HEAD = (
    "# Answers for `skylift advise`. Questions under `skipped` were left open; `skylift advise --again` asks them.\n"
)
_NEW = {"project": "?"}
"""Stands in for the name while the first answer is looked at."""


def ask(path: Path, *, again: bool) -> Path:
    """Go on where the file ends. Answers the file."""
    answers = _begun(path)
    if again:
        answers.pop("skipped", None)
    click.echo(f"Answers go to {path}. Enter leaves a question open, ? explains, Ctrl-D stops; start again to go on.")
    section = ""
    while (asked := next_open(answers)) is not None:
        title = asked.path.partition(".")[0] if "." in asked.path else ""
        if title != section:
            click.secho(f"\n{title.capitalize()}", bold=True)
            section = title
        try:
            _one(asked, answers)
        except (click.Abort, EOFError):
            click.echo(f"\n{_left(answers)} questions are open; `skylift advise --save {path}` goes on.", err=True)
            raise click.Abort from None
        _write(path, answers)
    return path


def _begun(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    answers, lines = parsed(path.read_text(encoding="utf-8"), str(path))
    to_project({**_NEW, **answers}, lines, str(path))
    return answers


def _one(asked: Question, answers: dict[str, Any]) -> None:
    """Until there is an answer that can be one, or none is wanted."""
    while True:
        text = click.prompt(asked.text, default="", show_default=False, prompt_suffix=f" [{_offer(asked)}]\n> ").strip()
        if text == "?":
            click.echo(f"{asked.path}: {asked.allowed}")
        elif not text and asked.path != "project":
            skip(answers, asked.path)
            return
        elif text and _taken(asked, text, answers):
            return


def _offer(asked: Question) -> str:
    return ", ".join(asked.choices) or asked.example.partition("for example ")[2] or asked.kind


def _taken(asked: Question, text: str, answers: dict[str, Any]) -> bool:
    """Whether it is an answer, and does not contradict one that was given."""
    tried = {name: dict(held) if isinstance(held, dict) else held for name, held in answers.items()}
    put(tried, asked.path, typed(asked, text))
    try:
        project = to_project({**_NEW, **tried}, {}, "not an answer")
    except ProjectInvalid as problem:
        click.echo(f"{problem.message}" + (f"\n  {problem.hint}" if problem.hint else ""), err=True)
        return False
    against = contradicting(facts(project, {}))
    if against:
        click.echo(f"{'; '.join(against)}\n  answer otherwise, or stop and correct the other answer", err=True)
        return False
    put(answers, asked.path, typed(asked, text))
    return True


def _left(answers: dict[str, Any]) -> int:
    left, copied = 0, {**answers}
    while (one := next_open(copied)) is not None:
        skip(copied, one.path)
        left += 1
    return min(left, len(questions()))


def _write(path: Path, answers: dict[str, Any]) -> None:
    """In one step, so that a crash leaves the old answers or the new ones."""
    import yaml

    text = _HEAD + yaml.safe_dump(answers, sort_keys=False, allow_unicode=True)
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)
