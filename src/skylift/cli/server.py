"""`skylift server`: the engine as a service."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from skylift.cli.extras import check_installed

SWITCH_S = 0.0005
"""How long engine and event loop let each other wait for the interpreter. Python's 5 ms make the slowest of a hundred
requests at 16 clients a third slower, and less than this costs throughput."""

_NEEDED = ("uvicorn", "uvloop", "httptools", "starlette", "cryptography", "prometheus_client")


class Duration(click.ParamType[float]):
    """A length of time such as 30s or 500ms; in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from skylift.units import parse_duration_ms

        try:
            return parse_duration_ms(str(value), "duration" if param is None else param.opts[0]) / 1000
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class Account(click.ParamType[str]):
    """Twelve digits, or all accounts."""

    name = "account"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from skylift.config import ACCOUNTS

        if not re.fullmatch(ACCOUNTS, str(value)):
            self.fail(f"{value!r} is no account: use 12 digits, such as 123456789012, or * for all", param, ctx)
        return str(value)


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="0 finds a free one.  [default: 8083]")
@click.option("--store", metavar="URL", help="sqlite:///FILE or postgresql://…  [default: journal.db in the home]")
@click.option("--artifacts", metavar="URL", help="Where artifacts are kept.  [default: blobs in the home]")
@click.option("--auth", type=click.Choice(["auto", "required", "off"]), help="Whether requests must be signed.")
@click.option("--allow-code", multiple=True, type=Account(), help="Run the code of this account here; * for all.")
@click.option("--allow-path", multiple=True, metavar="FOLDER", help="Let definitions read and write below it.")
@click.option("--allow-http", multiple=True, metavar="HOST", help="Let definitions call it with http:invoke.")
@click.option("--allow-service", multiple=True, metavar="SERVICE:ACTION", help="Let definitions call it, as sqs:*.")
@click.option("--drain", type=Duration(), help="How long to go on with what is running at the end.  [default: 30s]")
@click.option("--tls-cert", metavar="FILE", help="Certificate, PEM.")
@click.option("--tls-key", metavar="FILE", help="Its key, PEM.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="[default: text]")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning"]), help="[default: info]")
@click.option("--trace", is_flag=True, default=None, help="Send traces of runs by OTLP.")
def server(store: str | None, artifacts: str | None, **given: Any) -> int:
    """Serve the Step Functions API, and Skylift's own, from this project's runs.

    Prints its address when it answers. SIGTERM or Ctrl-C ends it in order, a second one at once.
    """
    check_installed("the server needs", _NEEDED, "serve")
    from skylift.config import load_config
    from skylift.server.observability.logs import Log
    from skylift.server.serve import Server

    config = load_config()
    changed: dict[str, Any] = {"server": msgspec.structs.replace(config.server, **_settings(given))}
    if store is not None:
        changed["store"] = store
    if artifacts is not None:
        changed["artifacts"] = artifacts
    config = msgspec.structs.replace(config, **changed)
    log = Log(config.server.log_format, config.server.log_level)
    log.capture()
    sys.setswitchinterval(SWITCH_S)
    Server(config, announce=_announce, log=log).run()
    return 0


def _announce(url: str) -> None:
    click.echo(f"Skylift answers at {url}")


_NAMES = {
    "allow_path": "allow_paths",
    "allow_service": "allow_services",
    "drain": "drain_seconds",
}


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line says, by the names of the settings. Files are relative to the working folder here."""
    found = {_NAMES.get(name, name): value for name, value in given.items() if value not in (None, ())}
    for name in ("tls_cert", "tls_key"):
        if name in found:
            found[name] = str(Path(found[name]).absolute())
    return found
