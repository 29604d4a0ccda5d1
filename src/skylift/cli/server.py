"""`skylift server`: the engine as a service."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from skylift.errors import SetupError

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
            return parse_duration_ms(str(value)) / 1000
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="0 finds a free one.  [default: 8083]")
@click.option("--store", metavar="URL", help="sqlite:///FILE or postgresql://…  [default: journal.db in the home]")
@click.option("--artifacts", metavar="URL", help="Where artifacts are kept.  [default: blobs in the home]")
@click.option("--auth", type=click.Choice(["auto", "required", "off"]), help="Whether requests must be signed.")
@click.option("--allow-code", multiple=True, metavar="ACCOUNT", help="Run the code of this account here; * for all.")
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
    _check_installed()
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


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"the server needs packages that are not installed: {', '.join(missing)}",
            hint="pip install 'skylift[serve]'",
        )
