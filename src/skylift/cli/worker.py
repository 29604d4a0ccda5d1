"""`skylift worker`: lend this machine to a server, or to AWS."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from skylift.cli.server import Duration
from skylift.errors import SetupError

if TYPE_CHECKING:
    from skylift.config import Config
    from skylift.lending.api import ActivityApi
    from skylift.lending.worker import Worker

_HANDLER = re.compile(r"[\w.]+:[\w.]+")


@click.command()
@click.option("--activity", metavar="NAME|ARN", help="Whose tasks to ask for.")
@click.option("--pool", is_flag=True, help="Instead of an activity's tasks: join the server's batch pool.")
@click.option("--server", "url", metavar="URL", help="A Skylift server.  [default: SKYLIFT_URL]")
@click.option("--region", metavar="REGION", help="Instead of a server: AWS Step Functions in this region.")
@click.option("--handler", metavar="MODULE:FUNCTION", help="What runs tasks that are not Skylift's own.")
@click.option("--at-once", type=click.IntRange(1, 1000), default=1, show_default=True, help="Tasks at the same time.")
@click.option("--heartbeat", type=Duration(), default="60s", help="Signs of life at a third of it.  [default: 60s]")
@click.option("--timeout", type=Duration(), help="Longest a task of --handler may take.")
@click.option("--memory", metavar="SIZE", help="Most memory of a task of --handler; with --pool, what it lends.")
@click.option("--artifacts", metavar="URL", help="Where artifacts are.  [default: on the server]")
@click.option("--name", help="What the worker is called in histories.  [default: this machine's name]")
@click.option("--create", is_flag=True, help="Make the activity if there is none.")
@click.option("--vcpus", type=click.FloatRange(min=0.1), help="With --pool: what it lends.  [default: all]")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def worker(activity: str | None, pool: bool, url: str | None, region: str | None, create: bool, **given: Any) -> int:
    """Run an activity's tasks, or those of a batch pool, on this machine until it is asked to end.

    SIGTERM or Ctrl-C: no new tasks, those that run are finished and answered. A second one leaves at once.
    """
    from skylift.config import load_config
    from skylift.lending.api import Refused

    if given["handler"] is not None and not _HANDLER.fullmatch(given["handler"]):
        raise SetupError(f"--handler {given['handler']!r} names no function", hint='write it as "module:function"')
    if (activity is None) != pool:
        raise SetupError("a worker asks for tasks of one place", hint="give one of --activity NAME and --pool")
    leaving = _leave_in_order()
    config = load_config()
    _refuse_handler(given["handler"], config)
    if activity is None:
        return _join(url, region, config, given, leaving)
    api = _api(url, region, config)
    try:
        arn = api.find(activity)
    except Refused as problem:
        if not create or problem.kind != "ActivityDoesNotExist":
            raise
        arn = api.create(activity.rpartition(":")[2])
    lending = _worker(api, arn, config, given, on_server=region is None)
    leaving.append(lending.drain)
    lending.run()
    return 0


def _refuse_handler(handler: str | None, config: Config) -> None:
    """One that is nowhere, before every task fails with it. It is not imported here: that is the attempts' business."""
    if handler is None:
        return
    top = handler.partition(":")[0].partition(".")[0]
    if PathFinder.find_spec(top, [str(config.project), *sys.path]) is None and not _is_found(top):
        raise SetupError(
            f"--handler {handler}: there is no module {top} in {config.project}, nor is one installed",
            hint="start the worker in the folder of the handler's file",
        )


def _is_found(module: str) -> bool:
    """Also what is built in, and what was installed as an editable package."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _join(
    url: str | None, region: str | None, config: Config, given: dict[str, Any], leaving: list[Callable[[], None]]
) -> int:
    from skylift.lending.parts import attempts_backend, pool_worker
    from skylift.server.observability.logs import Log
    from skylift.units import parse_memory_mib

    server = url or config.url
    if server is None or region is not None:
        raise SetupError("a pool is a Skylift server's", hint="give --server URL, or SKYLIFT_URL")
    memory = given["memory"]
    lending = pool_worker(
        config,
        server,
        attempts_backend(config, server, given["artifacts"], None),
        name=given["name"] or socket.gethostname(),
        vcpus=given["vcpus"],
        memory_mib=None if memory is None else parse_memory_mib(memory, "--memory"),
        say=Log(given["log_format"]).info,
    )
    leaving.append(lending.drain)
    lending.run()
    return 0


def _api(url: str | None, region: str | None, config: Config) -> ActivityApi:
    from skylift.lending.keys import aws_api, server_api

    if url is not None and region is not None:
        raise SetupError("--server and --region are two places", hint="--region is for AWS itself")
    if region is not None:
        return aws_api(region)
    place = url or config.url
    if place is None:
        raise SetupError(
            "a worker needs somebody to ask for tasks",
            hint="give --server URL (or SKYLIFT_URL) for a Skylift server, --region REGION for AWS",
        )
    return server_api(place)


def _worker(api: ActivityApi, arn: str, config: Config, given: dict[str, Any], *, on_server: bool) -> Worker:
    from skylift.lending.parts import attempts_backend, storing
    from skylift.lending.tasks import Rules
    from skylift.lending.worker import Worker
    from skylift.ports.compute import Requirements
    from skylift.server.observability.logs import Log
    from skylift.units import parse_memory_mib

    timeout, memory = given["timeout"], given["memory"]
    server = api.url if on_server else None
    log = Log(given["log_format"])
    rules = Rules(
        handler=given["handler"],
        name=arn.rpartition(":")[2],
        requirements=Requirements(
            timeout_ms=None if timeout is None else round(timeout * 1000),
            memory_mib=None if memory is None else parse_memory_mib(memory, "--memory"),
        ),
        logs=str(config.home / "worker" / "logs"),
    )
    lending = Worker(
        api,
        arn,
        attempts_backend(config, server, given["artifacts"], given["at_once"]),
        rules,
        name=given["name"] or socket.gethostname(),
        at_once=given["at_once"],
        beat_s=given["heartbeat"] / 3,
        say=log.info,
        store=storing(config, server),
    )
    log.info("asking", activity=arn, at=api.url, at_once=given["at_once"])
    return lending


def _leave_in_order() -> list[Callable[[], None]]:
    """The first signal calls what is in the list by then, and ends the program where that is nothing yet."""
    drains: list[Callable[[], None]] = []
    asked: list[int] = []

    def leave(number: int, _frame: object) -> None:
        if asked:
            os.write(2, b"leaving at once\n")
            os._exit(128 + number)
        asked.append(number)
        if not drains:
            os._exit(0)  # nothing was taken yet
        for drain in drains:
            drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    return drains
