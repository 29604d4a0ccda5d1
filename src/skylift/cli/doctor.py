"""`skylift doctor`: what is here, what is missing, how to get it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

import click
import msgspec

from skylift.cli.output import counted, json_option, print_json
from skylift.config import Config, load_config
from skylift.errors import SkyliftError

Verdict = Literal["ok", "missing", "broken"]
MARKS = {"ok": "✓", "missing": "-", "broken": "✗"}

OPTIONAL = (
    ("numpy", "arrays as artifacts", "pip install 'skylift[ml]'"),
    ("sklearn", "the faces example", "pip install 'skylift[ml]'"),
    ("onnxruntime", "running exported models", "pip install 'skylift[ml]'"),
    ("pyarrow", "Parquet items, data frames as artifacts", "pip install 'skylift[data]'"),
    ("torch", "PyTorch models", "pip install 'skylift[torch]'"),
    ("highspy", "skylift plan where it needs a solver; files in YAML", "pip install 'skylift[plan]'"),
    ("matplotlib", "pictures of plans, ledgers and advice", "pip install 'skylift[plots]'"),
    ("uvicorn", "skylift server", "pip install 'skylift[serve]'"),
    ("psycopg", "a journal on PostgreSQL", "pip install 'skylift[postgres]'"),
    ("boto3", "calls of AWS services, s3://, boxes on EC2", "pip install 'skylift[aws]'"),
    ("opentelemetry", "traces of a server's runs", "pip install 'skylift[otel]'"),
    ("ray", "--on ray", "pip install 'skylift[ray]'"),
    ("keyring", "secrets from the system's keyring", "pip install keyring"),
)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at. `mend` says how to get what is missing."""

    name: str
    verdict: Verdict
    detail: str
    mend: str | None = None
    needed: bool = False


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Say what is here, what is missing and how to get it. Exit status 1 if something needed is broken."""
    findings = [_python(), *_project(), *_machine(), *(_optional(*row) for row in OPTIONAL), _uv()]
    broken = any(f.needed and f.verdict != "ok" for f in findings)
    if as_json:
        print_json({"healthy": not broken, "findings": findings})
        return int(broken)
    for finding in findings:
        click.echo(f"{MARKS[finding.verdict]} {finding.name:<13} {finding.detail}")
        if finding.mend and finding.verdict != "ok":
            click.echo(f"  {'':<13} {finding.mend}")
    return int(broken)


def _python() -> Finding:
    here = platform.python_version()
    good = sys.version_info >= (3, 11)
    return Finding(
        name="python",
        verdict="ok" if good else "broken",
        detail=f"{here} at {sys.executable}",
        mend="Skylift needs Python 3.11 or newer",
        needed=True,
    )


def _project() -> list[Finding]:
    try:
        config = load_config()
    except SkyliftError as problem:
        return [Finding(name="config", verdict="broken", detail=problem.message, mend=problem.hint, needed=True)]
    source = str(config.source) if config.source else "no skylift.toml: defaults"
    return [
        Finding(name="config", verdict="ok", detail=source),
        *_server(config),
        _home(config.home),
        _journal(config),
        *_functions(config),
    ]


def _home(home: Path) -> Finding:
    folder = next((p for p in (home, *home.parents) if p.exists()), home)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        mend = "make it writable, or set SKYLIFT_HOME to a folder that is"
        return Finding(name="home", verdict="broken", detail=f"{home}: {problem.strerror}", mend=mend, needed=True)
    free = shutil.disk_usage(folder).free / 2**30
    low = free < 1
    return Finding(
        name="home",
        verdict="broken" if low else "ok",
        detail=f"{home}, {free:.0f} GiB free",
        mend="free some space: skylift gc",
        needed=low,
    )


def _server(config: Config) -> list[Finding]:
    """The one that `url` names, if any: the commands about runs work on it."""
    if config.url is None:
        return []
    from skylift.remote.open import runtime_for

    try:
        with runtime_for(config) as runtime:
            runtime.reader.runs(limit=1)
    except SkyliftError as problem:
        return [Finding(name="server", verdict="broken", detail=problem.message, mend=problem.hint, needed=True)]
    return [Finding(name="server", verdict="ok", detail=f"{config.url} answers; runs are there")]


def _journal(config: Config) -> Finding:
    from skylift.runtime import Runtime
    from skylift.stores.open import store_file

    try:
        file = store_file(config.store, config.home)
        if file is not None and not file.exists():
            return Finding(name="journal", verdict="ok", detail="none yet; made by the first run")
        with Runtime(config) as runtime:
            count, place = len(runtime.reader.runs(limit=1000)), runtime.store.place
    except SkyliftError as problem:
        return Finding(name="journal", verdict="broken", detail=problem.message, mend=problem.hint, needed=True)
    runs = counted(count, "run") if count < 1000 else "1000 runs or more"
    where = "" if config.store is None else f" in {place}"
    return Finding(name="journal", verdict="ok", detail=f"{runs}{where}")


def _functions(config: Config) -> list[Finding]:
    findings = []
    if str(config.project) not in sys.path:
        sys.path.insert(0, str(config.project))
    for name, binding in config.functions.items():
        module = binding.handler.partition(":")[0]
        try:
            found = importlib.util.find_spec(module) is not None
        except (ImportError, ValueError):
            found = False
        findings.append(
            Finding(
                name="function",
                verdict="ok" if found else "broken",
                detail=f"{name} → {binding.handler}",
                mend=f"no module named {module} in {config.project}",
            )
        )
    return findings


def _machine() -> list[Finding]:
    from skylift.compute.process.cgroups import Cgroups

    limits = "enforced by control groups" if Cgroups.here() else "enforced by watching (no control groups of our own)"
    cpus = os.cpu_count() or 1
    gpu = shutil.which("nvidia-smi")
    containers = shutil.which("podman") or shutil.which("docker")
    return [
        Finding(name="processors", verdict="ok", detail=str(cpus)),
        Finding(name="memory limits", verdict="ok", detail=limits),
        Finding(name="gpu", verdict="ok" if gpu else "missing", detail=gpu or "no nvidia-smi found"),
        Finding(
            name="containers",
            verdict="ok" if containers else "missing",
            detail=containers or "--on container",
            mend="install podman or Docker",
        ),
    ]


def _uv() -> Finding:
    from skylift.compute.environments.uv import find_uv

    found = find_uv()
    detail = f"packages of tasks' own ({found or 'venv and pip do it, without exact versions'})"
    mend = "pip install 'skylift[environments]'"
    return Finding(name="uv", verdict="ok" if found else "missing", detail=detail, mend=mend)


def _optional(module: str, purpose: str, mend: str) -> Finding:
    found = importlib.util.find_spec(module) is not None
    return Finding(name=module, verdict="ok" if found else "missing", detail=purpose, mend=mend)
