"""What `quote` and `plan` share: the options that say what nobody knows, the pipeline with its input, the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from skylift.cli.bound import tasks_of
from skylift.cli.pipeline_command import Loaded, prepared
from skylift.cli.target import read_input, resolve_target
from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.quoting.facts import Answers
    from skylift.quoting.prepare import Project, Subject
    from skylift.runtime import Runtime

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    ("work", "STEP[@TYPE]=TIME", "How long an attempt of a step takes, on one type of machine or on all."),
    ("width", "MAP=N", "How many items a Map has."),
    ("rounds", "LOOP=N", "How often a loop goes round."),
    ("chance", "CHOICE=NEXT:P", "How likely a Choice goes on to a state."),
    ("data", "STEP=SIZE", "How much data an attempt of a step reads."),
)


def answer_options(command: Command) -> Command:
    """`--work`, `--width`, `--rounds`, `--chance`, `--data`."""
    for name, metavar, text in reversed(_OPTIONS):
        command = click.option(f"--{name}", name, multiple=True, metavar=metavar, help=text)(command)
    return command


def answers_of(said: dict[str, tuple[str, ...]]) -> Answers:
    """Raises AnswerInvalid, or InvalidAmount."""
    from skylift.quoting.facts import read_answers

    return read_answers(**{name: said[name] for name, _, _ in _OPTIONS})


def subject_of(runtime: Runtime, loaded: Loaded, target: str, params: Sequence[str], input_text: str | None) -> Subject:
    """Raises ParameterInvalid, CompileError, SetupError where a server would run it."""
    from skylift.quoting.prepare import Subject

    if runtime.config.url is not None:
        raise SetupError(
            f"the server at {runtime.config.url} runs where it is told to, and that is not known here",
            hint="leave out --server and SKYLIFT_URL to quote a run of this project",
            code="QUOTE",
        )
    found = loaded.target or resolve_target(target)
    given = {} if input_text is None else read_input(input_text)
    submission, value = prepared(runtime, found, loaded, params, given)
    return Subject(
        pipeline=submission.pipeline,
        definition=submission.definition,
        tasks=tasks_of(runtime, submission),
        machines=submission.machines,
        input=value,
    )


def project_of(runtime: Runtime, pipeline: str, answers: Answers) -> Project:
    from skylift.history import history_of
    from skylift.pricing.catalogue import catalogue
    from skylift.quoting.prepare import Project

    return Project(
        config=runtime.config,
        history=history_of(runtime.reader, pipeline),
        catalogue=catalogue(),
        offers=runtime.offers,
        answers=answers,
    )
