"""`skylift triggers`: what starts runs on a server by itself."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.output import counted, json_option, print_json
from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.remote.client import ServerClient


class NoServer(SetupError):
    """Triggers live on a server."""

    code = "NO-SERVER"


@click.group()
def triggers() -> None:
    """Schedules, queues and places of files that start runs on a server. They need SKYLIFT_URL or --server."""


@triggers.command()
@click.argument("name")
@click.option(
    "--start", required=True, metavar="MACHINE", help="A registered pipeline's or state machine's name or ARN."
)
@click.option("--schedule", metavar="EXPRESSION", help='"cron(0 6 ? * MON-FRI *)", "0 6 * * 1-5", "rate(5 minutes)".')
@click.option("--timezone", default="UTC", show_default=True, help="Of the schedule, such as Europe/Berlin.")
@click.option("--queue", metavar="URL", help="An SQS queue: one run a message.")
@click.option("--files", metavar="URL", help="Where files arrive: s3://bucket/in/*.csv, any fsspec URL, a folder.")
@click.option(
    "--every", type=float, default=30.0, show_default=True, metavar="SECONDS", help="Between looks for files."
)
@click.option("--settle", type=float, default=2.0, show_default=True, metavar="SECONDS", help="A file is whole after.")
@click.option("--existing", is_flag=True, help="Files that are there already count as arrived.")
@click.option(
    "--input", "input_text", metavar="JSON", help="The runs' input; {% … %} reads the event in $states.input."
)
@click.option("--disabled", is_flag=True, help="Make it, but start nothing yet.")
@json_option
def create(
    name: str,
    start: str,
    schedule: str | None,
    timezone: str,
    queue: str | None,
    files: str | None,
    every: float,
    settle: float,
    existing: bool,
    input_text: str | None,
    disabled: bool,
    as_json: bool,
) -> int:
    """Make a trigger, or replace it. What has happened before is not made up for."""
    sources = {
        "schedule": schedule and {"kind": "schedule", "expression": schedule, "timezone": timezone},
        "queue": queue and {"kind": "queue", "url": queue},
        "files": files and {"kind": "files", "url": files, "every_s": every, "settle_s": settle, "existing": existing},
    }
    given = [source for source in sources.values() if source]
    if len(given) != 1:
        raise click.UsageError("give one of --schedule, --queue and --files")
    body = {"start": start, "source": given[0], "enabled": not disabled}
    if input_text is not None:
        body["input"] = _json(input_text)
    with closing(_client()) as client:
        answer = client.json(dict, "PUT", f"/v1/triggers/{name}", body)
    _show([answer], as_json)
    return 0


@triggers.command("list")
@json_option
def list_(as_json: bool) -> int:
    """All triggers, with what they have done."""
    with closing(_client()) as client:
        found = client.json(dict, "GET", "/v1/triggers")["triggers"]
    _show(found, as_json)
    return 0


@triggers.command()
@click.argument("name")
def delete(name: str) -> int:
    """Delete a trigger; runs that it has started go on."""
    with closing(_client()) as client:
        client.request("DELETE", f"/v1/triggers/{name}")
    click.echo(f"deleted {name}", err=True)
    return 0


@triggers.command()
@click.argument("name")
def enable(name: str) -> int:
    """Let a trigger start runs again."""
    return _switch(name, True)


@triggers.command()
@click.argument("name")
def disable(name: str) -> int:
    """Let a trigger start nothing until it is enabled."""
    return _switch(name, False)


def _switch(name: str, enabled: bool) -> int:
    with closing(_client()) as client:
        now = client.json(dict, "GET", f"/v1/triggers/{name}")
        body = {key: now[key] for key in ("start", "source", "input") if key in now}
        client.json(dict, "PUT", f"/v1/triggers/{name}", {**body, "enabled": enabled})
    click.echo(f"{name} is {'enabled' if enabled else 'disabled'}", err=True)
    return 0


def _client() -> ServerClient:
    from skylift.config import load_config
    from skylift.remote.client import ServerClient
    from skylift.remote.keys import signer_of

    config = load_config()
    if config.url is None:
        raise NoServer("triggers live on a server, and none is named", hint="set SKYLIFT_URL, or give --server URL")
    return ServerClient(config.url, signer_of())


def _json(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError as problem:
        raise click.UsageError(f"--input is not JSON: {problem}") from None


def _show(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for trigger in found:
        state = "" if trigger["enabled"] else " (disabled)"
        click.echo(f"{trigger['name']}{state}: {_source(trigger['source'])} starts {_plain(trigger['start'])}")
        if trigger["runs"]:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trigger["last_run_ms"] / 1000))
            click.echo(f"  {counted(trigger['runs'], 'run')}, the last {when}: {_plain(trigger['last_run'])}")
        if trigger.get("error"):
            click.echo(f"  the last try failed: {trigger['error']}")


def _source(source: dict[str, Any]) -> str:
    if source["kind"] == "schedule":
        zone = source.get("timezone", "UTC")
        return f"{source['expression']}{'' if zone == 'UTC' else f' in {zone}'}"
    return f"{'messages on' if source['kind'] == 'queue' else 'files at'} {source['url']}"


def _plain(arn: str) -> str:
    return arn.partition(":stateMachine:")[2] or arn.rpartition(":")[2]
