"""Settings: where things live and how they run, from `skylift.toml`, the environment and defaults.

Precedence, highest first: explicit arguments, `SKYLIFT_…` environment variables, `skylift.toml`, defaults.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from skylift.config.backends import BackendsSettings, ComputeSettings
from skylift.config.box import BoxSettings
from skylift.config.budget import BudgetSettings
from skylift.config.fields import meant
from skylift.config.jobs import JobBinding
from skylift.errors import SetupError

CONFIG_NAME = "skylift.toml"
HOME_NAME = ".skylift"
_REGEX = re.compile(r"Expected `str` matching regex .*(?= - at )")
"""What msgspec says; where a hint says the form in words, nobody needs to read it."""


class InvalidConfig(SetupError):
    """A setting that cannot be used; the message names file, key, value and what is allowed."""

    code = "CONFIG"


class FunctionBinding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs when a definition names a Lambda function."""

    handler: str
    """`module:function`, called as `handler(event, context)`."""
    memory: str | None = None
    timeout: str | None = None
    env: dict[str, str] = {}
    secrets: tuple[str, ...] = ()


class SecretSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a worker finds a secret. One of the four is set."""

    env: str | None = None
    file: str | None = None
    """Relative to the project, like `home`."""
    keyring: str | None = None
    """`service/username`."""
    command: str | None = None
    """A command line, run without a shell, whose standard output, less the final newline, is the secret."""


ACCOUNTS = r"^([0-9]{12}|\*)\Z"
"""An account, or all of them."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: `skylift server` and what an administrator allows on it."""

    host: str = "127.0.0.1"
    port: int = 8083
    auth: Literal["auto", "required", "off"] = "auto"
    """`auto`: off on loopback while no key exists, else required. `off` is refused beyond loopback."""
    allow_code: tuple[Annotated[str, Meta(pattern=ACCOUNTS)], ...] = ()
    """Accounts whose code the process workers run; `*` for all."""
    allow_backends: tuple[str, ...] = ("*",)
    """Backends that the code of accounts may run on, whatever their runs choose; `*` for all."""
    allow_paths: tuple[str, ...] = ()
    """Folders of this machine that definitions may read from and write to."""
    allow_http: tuple[str, ...] = ()
    """Hosts that `http:invoke` may call, `*.example.org` for subdomains, `*` for every public address."""
    allow_services: tuple[str, ...] = ()
    """`service:action` patterns (`sqs:*`) that definitions may call with the server's credentials."""
    requests_per_second: Annotated[float, Meta(ge=0)] = 500.0
    """Of one key; bursts may last five seconds. 0 is no limit. Where authentication is off there is none."""
    requests_at_once: Annotated[int, Meta(ge=0)] = 500
    """Of one key, long polls among them. 0 is no limit."""
    connections: Annotated[int, Meta(ge=1)] = 2_000
    """Open at once, of all clients."""
    body_bytes: Annotated[int, Meta(ge=1)] = 1_048_576
    """Longest request to the Step Functions API."""
    head_seconds: Annotated[float, Meta(gt=0)] = 10.0
    """How long a client may take to send a request's head."""
    body_seconds: Annotated[float, Meta(gt=0)] = 30.0
    """How long it may take to send the body, or to take the answer."""
    idle_seconds: Annotated[float, Meta(gt=0)] = 75.0
    """How long a connection is kept between two requests."""
    drain_seconds: Annotated[float, Meta(ge=0)] = 30.0
    """How long requests and tasks that are running may go on when the server is asked to end."""
    sweep_seconds: Annotated[float, Meta(ge=0)] = 60.0
    """How often is looked for what has outlived its lease. 0 is never."""
    tls_cert: str | None = None
    """File of the certificate and those that vouch for it, PEM; relative to the project."""
    tls_key: str | None = None
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning"] = "info"
    metrics_token: str | None = None
    """What `Authorization: Bearer` must bring for `/metrics` where authentication is on."""
    trace: bool = False
    """Send spans of runs by OTLP, to where the OTEL_EXPORTER_OTLP_… variables say."""


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[services]`: where service integrations go."""

    endpoint_url: str | None = None
    """For all services; None for AWS itself."""
    endpoints: dict[str, str] = {}
    """By service (`sqs`, `lambda`), before `endpoint_url`."""
    region: str | None = None
    """None for the one of the state machine, else of the environment."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `Runtime` needs to put its parts together."""

    project: Path
    """The folder that holds skylift.toml, or the working folder."""
    home: Path
    """Journal, artifacts, logs, bundles."""
    durability: Literal["normal", "full"] = "normal"
    artifacts: str | None = None
    """A path or fsspec URL; None for `home/blobs`."""
    workers: int | None = None
    """Most worker processes; None for one per processor."""
    functions: dict[str, FunctionBinding] = {}
    """Lambda function name or ARN → handler."""
    secrets: dict[str, SecretSource] = {}
    store: str | None = None
    """`sqlite:///PATH` or `postgresql://…`; None for `home/journal.db`."""
    url: str | None = None
    """The server that the commands and handles talk to; None to run here."""
    placement: dict[str, str] = {}
    """Task → backend. `*` stands for all tasks that are not named."""
    backends: BackendsSettings = BackendsSettings()
    compute: ComputeSettings = ComputeSettings()
    jobs: dict[str, JobBinding] = {}
    """Job definition, task definition or training image → what runs here."""
    server: ServerSettings = ServerSettings()
    services: ServiceSettings = ServiceSettings()
    box: BoxSettings | None = None
    """A development box; None where there is none."""
    budget: BudgetSettings = BudgetSettings()
    source: Path | None = None
    """The skylift.toml that was read."""


Kind = TypeVar("Kind")

_TOP_KEYS = (
    "skylift",
    "functions",
    "jobs",
    "secrets",
    "placement",
    "backends",
    "compute",
    "server",
    "services",
    "box",
    "budget",
)
_SKYLIFT_KEYS = ("home", "durability", "artifacts", "workers", "store", "url")


def load_config(
    start: Path | None = None, *, home: Path | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Find and read the settings for a command given in `start` (default: the working folder).

    Raises InvalidConfig for an unreadable file, an unknown key or a value of the wrong kind.
    """
    environ = os.environ if environ is None else environ
    here = (start or Path.cwd()).resolve()
    source = _find(here)
    project = source.parent if source else here
    table = _read(source) if source else {}
    settings = table.get("skylift", {})
    chosen_home = home or _path(environ.get("SKYLIFT_HOME"), here) or _path(settings.get("home"), project)
    return Config(
        project=project,
        home=(chosen_home or project / HOME_NAME).resolve(),
        durability=_durability(environ.get("SKYLIFT_DURABILITY") or settings.get("durability", "normal"), source),
        artifacts=environ.get("SKYLIFT_ARTIFACTS") or settings.get("artifacts"),
        workers=_workers(environ.get("SKYLIFT_WORKERS") or settings.get("workers"), source),
        functions={name: _function(name, value, source) for name, value in table.get("functions", {}).items()},
        secrets={name: _secret(name, value, source) for name, value in table.get("secrets", {}).items()},
        store=environ.get("SKYLIFT_STORE") or settings.get("store"),
        url=environ.get("SKYLIFT_URL") or settings.get("url"),
        placement=_convert(table.get("placement", {}), dict[str, str], "placement", source),
        backends=_convert(table.get("backends", {}), BackendsSettings, "backends", source),
        compute=_convert(table.get("compute", {}), ComputeSettings, "compute", source),
        jobs={name: _job(name, value, source, project) for name, value in table.get("jobs", {}).items()},
        server=_convert(table.get("server", {}), ServerSettings, "server", source),
        services=_convert(table.get("services", {}), ServiceSettings, "services", source),
        box=_convert(table["box"], BoxSettings, "box", source) if "box" in table else None,
        budget=_convert(table.get("budget", {}), BudgetSettings, "budget", source),
        source=source,
    )


def _find(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        candidate = folder / CONFIG_NAME
        if candidate.is_file():
            return candidate
    return None


def _read(source: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise InvalidConfig(f"{source}: cannot be read: {problem}") from problem
    except tomllib.TOMLDecodeError as problem:
        raise InvalidConfig(f"{source}: not valid TOML: {problem}", hint="see https://toml.io for the format") from None
    _known(table, _TOP_KEYS, source, "")
    for name in _TOP_KEYS:
        if not isinstance(table.get(name, {}), dict):
            raise InvalidConfig(f"{source}: [{name}] must be a table, not {table[name]!r}")
    _known(table.get("skylift", {}), _SKYLIFT_KEYS, source, "skylift.")
    for key in ("home", "artifacts", "store", "url"):
        value = table.get("skylift", {}).get(key)
        if value is not None and not isinstance(value, str):
            raise InvalidConfig(f"{source}: skylift.{key} must be text, not {value!r}")
    return table


def _known(table: Mapping[str, Any], allowed: tuple[str, ...], source: Path, prefix: str) -> None:
    for key in table:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(prefix + k for k in allowed)}"
            raise InvalidConfig(f"{source}: unknown setting {prefix}{key}", hint=hint)


def _path(text: str | None, base: Path) -> Path | None:
    return (base / Path(text).expanduser()) if text else None


def _durability(value: Any, source: Path | None) -> Literal["normal", "full"]:
    if value in ("normal", "full"):
        return value  # type: ignore[no-any-return]  # narrowed by the membership test, which mypy does not follow
    raise InvalidConfig(f"{_where(source)}: durability is {value!r}", hint='use "normal" or "full"')


def _workers(value: Any, source: Path | None) -> int | None:
    if value is None:
        return None
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if count < 1 or isinstance(value, (bool, float)):
        raise InvalidConfig(f"{_where(source)}: workers is {value!r}", hint="use a whole number of at least 1")
    return count


def _function(name: str, value: Any, source: Path | None) -> FunctionBinding:
    table = {"handler": value} if isinstance(value, str) else value
    binding = _convert(table, FunctionBinding, f"functions.{name}", source)
    module, _, attribute = binding.handler.partition(":")
    if not module or not attribute:
        raise InvalidConfig(
            f"{_where(source)}: functions.{name} is {binding.handler!r}", hint='name a handler as "module:function"'
        )
    return binding


def _job(name: str, value: Any, source: Path | None, project: Path) -> JobBinding:
    binding = _convert(value, JobBinding, f"jobs.{name}", source)
    given = [key for key in ("handler", "command", "image") if getattr(binding, key) is not None]
    if len(given) != 1:
        raise InvalidConfig(
            f"{_where(source)}: jobs.{name} says {' and '.join(given) or 'nothing'} to run",
            hint="give one of handler, command or image",
        )
    return msgspec.structs.replace(binding, folder=str(project / (binding.folder or "")))


def _secret(name: str, value: Any, source: Path | None) -> SecretSource:
    secret = _convert(value, SecretSource, f"secrets.{name}", source)
    given = [key for key in SecretSource.__struct_fields__ if getattr(secret, key) is not None]
    if len(given) != 1:
        raise InvalidConfig(
            f"{_where(source)}: secrets.{name} names {len(given)} sources: {given}",
            hint="give one of env, file, keyring or command",
        )
    return secret


def _convert(value: Any, kind: type[Kind], key: str, source: Path | None) -> Kind:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as problem:
        wanted = BudgetSettings.wanted(str(problem)) if kind is BudgetSettings else None
        told = str(problem) if wanted is None else _REGEX.sub("not of the form that is wanted", str(problem))
        said = f"{_where(source)}: {key}: {told}; the value is {value!r}"
        raise InvalidConfig(said, hint=wanted or meant(str(problem), kind)) from None


def _where(source: Path | None) -> str:
    return str(source) if source else "environment"
