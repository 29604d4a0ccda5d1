"""A command of which a pipeline's parameters are options: its target is read before its command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.parameters import add_params, help_rows, is_list, nearest, option, split_arguments
from skylift.cli.target import Target, checked_document, resolve_target
from skylift.sdk.parameters import Parameter, ParameterInvalid

if TYPE_CHECKING:
    from skylift.runtime import Runtime


class PipelineCommand(click.Command):
    """Reads the target first: the pipeline's parameters become options, in parsing and in the help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = Loaded()
        file = next(_positional(self.params, args), None)
        if file is not None and Path(file.partition(":")[0]).suffix == ".py":
            ctx.obj = Loaded.of(resolve_target(file))
            given, args = split_arguments(ctx.obj.parameters, self.params, args)
            ctx.obj.given = given
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as problem:
            raise _unknown_option(problem, ctx.obj) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        loaded: Loaded = ctx.obj
        if loaded.parameters:
            with formatter.section(f"Parameters of {loaded.name}"):
                formatter.write_dl(help_rows(loaded.parameters))
        super().format_options(ctx, formatter)


class Loaded:
    """What `parse_args` found out: the target, its parameters, and the raw texts given for them."""

    def __init__(self, target: Target | None = None, parameters: Sequence[Parameter] = ()) -> None:
        self.target = target
        self.parameters = parameters
        self.given: dict[str, list[str]] = {}

    @classmethod
    def of(cls, target: Target) -> Loaded:
        return cls(target, target.pipeline.parameters)

    @property
    def name(self) -> str:
        return self.target.name if self.target else ""


def _positional(own: Sequence[click.Parameter], args: Sequence[str]) -> Iterator[str]:
    """Words that are neither options nor what an option of the command takes."""
    valued = {name for one in own if isinstance(one, click.Option) and not one.is_flag for name in one.opts}
    words = iter(args)
    for word in words:
        if word in valued:
            next(words, None)
        elif not word.startswith("-"):
            yield word


def _unknown_option(problem: click.NoSuchOption, loaded: Loaded) -> Exception:
    """In words of the pipeline where one is run: what its parameters are, and which is meant."""
    if loaded.target is None:
        return problem
    name = problem.option_name.lstrip("-").replace("-", "_")
    message = f"{loaded.name} has no parameter {problem.option_name}"
    return ParameterInvalid(message, hint=nearest(name, loaded.parameters))


def prepared(
    runtime: Runtime, found: Target, loaded: Loaded, params: Sequence[str], given_input: Any
) -> tuple[Any, Any]:
    """What is submitted, and the run's input."""
    from skylift.sdk.submission import document_submission, pipeline_submission

    if found.document is not None:
        if params or loaded.given:
            raise ParameterInvalid("a States Language document takes no parameters", hint="use --input JSON")
        return document_submission(found.name, checked_document(found)), given_input
    add_params(loaded.given, params, loaded.parameters)
    return pipeline_submission(found.pipeline, runtime.blobs, runtime.config.home), _bind(
        runtime, found, loaded, given_input
    )


def _bind(runtime: Runtime, found: Target, loaded: Loaded, given_input: Any) -> Any:
    from skylift.sdk.parameters import bind_input, parse_argument

    if not isinstance(given_input, dict):
        raise ParameterInvalid(f"--input must be a JSON object of parameters, not {type(given_input).__name__}")
    values: dict[str, Any] = dict(given_input)
    by_name = {p.name: p for p in loaded.parameters}
    for name, texts in loaded.given.items():
        parameter = by_name[name]
        if len(texts) > 1 and not is_list(parameter):
            raise ParameterInvalid(f"{option(parameter)} was given {len(texts)} times: {', '.join(texts)}")
        values[name] = parse_argument(parameter.annotation, texts if is_list(parameter) else texts[0], name)
    return bind_input(found.pipeline, values, runtime.codec)
