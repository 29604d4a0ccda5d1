"""`skylift register`: a pipeline as a state machine of a server, to be started by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from skylift.cli.output import json_option, print_json
from skylift.cli.parts import open_runtime
from skylift.cli.target import Target, checked_document, resolve_target
from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.remote.runtime import RemoteRuntime


@click.command()
@click.argument("target", metavar="FILE[:PIPELINE]")
@click.option("--name", help="Name of the state machine.  [default: the pipeline's]")
@json_option
def register(target: str, name: str | None, as_json: bool) -> None:
    """Make a pipeline of a Python file, or a States Language document, known to the server.

    Then ListStateMachines shows it, StartExecution starts it, and so does POST /pipelines/NAME/runs. Registering a name
    again replaces it; runs that go on keep the code they were started with.
    """
    from skylift.remote.runtime import RemoteRuntime

    found = resolve_target(target)
    with open_runtime() as runtime:
        if not isinstance(runtime, RemoteRuntime):
            raise SetupError(
                "register needs a server", hint="skylift --server http://127.0.0.1:8083 register …, or set SKYLIFT_URL"
            )
        registered = _register(runtime, found, name or found.name)
        address = runtime.client.url
    if as_json:
        print_json(registered)
        return
    click.echo(registered.arn)
    click.echo(f"start it with: curl {address}{registered.url} --json '{{…}}'", err=True)


def _register(runtime: RemoteRuntime, found: Target, name: str) -> Any:
    from skylift.sdk.schemas import description, input_schema, result_schema
    from skylift.sdk.submission import document_submission, pipeline_submission

    if found.pipeline is None:
        submission = document_submission(found.name, checked_document(found))
        return runtime.register(name, submission, parameters={}, defaults={}, result={}, description="")
    defaults = {
        parameter.name: runtime.codec.dump(parameter.default, parameter.annotation, inline=True)
        for parameter in found.pipeline.parameters
        if parameter.default is not msgspec.UNSET
    }
    return runtime.register(
        name,
        pipeline_submission(found.pipeline, runtime.blobs, runtime.config.home),
        parameters=input_schema(found.pipeline),
        defaults=defaults,
        result=result_schema(found.pipeline),
        description=description(found.pipeline),
    )
