"""`@task(environment=…)` at submission: what was asked for becomes a document with exact versions, beside the code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skylift.sdk.requirement_files import EnvironmentInvalid, Line, file_lines, files_behind, inline_lines

if TYPE_CHECKING:
    from skylift.ports.blobs import BlobStore
    from skylift.ports.environments import EnvironmentSpec
    from skylift.ports.tasks import TaskSpec


_PYTHON = re.compile(r"(>=|==|<=|<|>|~=|!=)\s*(\d+(?:\.\d+)*)")


def named_files(tasks: Mapping[str, TaskSpec]) -> list[Path]:
    """The files that the tasks' environments are read from, included ones too."""
    asked = [(spec, spec.requirements.environment) for spec in tasks.values()]
    named = {_path(spec, text) for spec, text in asked if text is not None and not text.startswith("[")}
    return sorted(set[Path]().union(*map(files_behind, named)))


def documents(tasks: Mapping[str, TaskSpec], blobs: BlobStore, cache_dir: Path | None) -> dict[str, TaskSpec]:
    """The tasks with the digests of their environments in place of what was asked for.

    Versions are looked up once and kept under `cache_dir`. Raises EnvironmentInvalid, which names task and line.
    """
    from skylift.compute.environments import write_spec

    done: dict[str, str] = {}
    result = {}
    for name, spec in tasks.items():
        asked = spec.requirements.environment
        if asked is not None:
            key = asked if asked.startswith("[") else str(_path(spec, asked))
            if key not in done:
                done[key] = write_spec(_document(spec, asked, cache_dir), blobs)
            needs = msgspec.structs.replace(spec.requirements, environment=done[key])
            spec = msgspec.structs.replace(spec, requirements=needs)
        result[name] = spec
    return result


def _document(spec: TaskSpec, asked: str, cache_dir: Path | None) -> EnvironmentSpec:
    from skylift.compute.environments import EnvironmentFailed
    from skylift.compute.environments.resolving import refuse_conflicts, resolve
    from skylift.ports.environments import EnvironmentSpec

    lines: list[Line] = []
    try:
        lines = inline_lines(json.loads(asked)) if asked.startswith("[") else _read(spec, asked)
        locked = bool(lines) and all(line.is_locked for line in lines if not line.text.startswith("-"))
        texts = [line.text for line in lines]
        exact = tuple(sorted(set(texts))) if locked else resolve(texts, cache_dir)
        refuse_conflicts(exact)
    except EnvironmentFailed as problem:
        raise EnvironmentInvalid(
            f"task {spec.name}, environment {_shown(asked)}{_where(lines, problem.message)}: {problem.message}",
            hint=problem.hint or "change that requirement",
        ) from problem
    except EnvironmentInvalid as problem:
        raise EnvironmentInvalid(f"task {spec.name}: {problem.message}", hint=problem.hint) from problem
    return EnvironmentSpec(requirements=exact)


def _read(spec: TaskSpec, asked: str) -> list[Line]:
    lines, wanted = file_lines(_path(spec, asked))
    _refuse_python(asked, wanted)
    return lines


def _path(spec: TaskSpec, asked: str) -> Path:
    """Relative paths count from the file that defines the task; from the working folder where there is none."""
    file = getattr(sys.modules.get(spec.target.partition(":")[0]), "__file__", None)
    folder = Path(file).resolve().parent if file else Path.cwd()
    return folder / Path(asked).expanduser()


def _where(lines: list[Line], message: str) -> str:
    """The line that the tool's message is about, when it names one."""
    for line in lines:
        if line.name and re.search(rf"(?<![\w-]){re.escape(line.name)}(?![\w-])", message.lower()):
            return f" ({line.place}: {line.text.partition(' --hash')[0]})"
    return ""


def _shown(asked: str) -> str:
    return asked if len(asked) <= 120 else asked[:119] + "…"


def _refuse_python(asked: str, wanted: str | None) -> None:
    """Raises EnvironmentInvalid where a script's `requires-python` leaves out the one that tasks run with."""
    here = sys.version_info[:3]
    if not all(_fits(here, *part) for part in _PYTHON.findall(wanted or "")):
        raise EnvironmentInvalid(
            f"{asked}: requires-python is {wanted!r}, and tasks run with Python {'.'.join(map(str, here))} here",
            hint="change it, run Skylift with such a Python, or give the task an image (`image=`)",
        )


def _fits(here: tuple[int, ...], sign: str, version: str) -> bool:
    """One part of `requires-python`; what says less than all numbers means every version that begins so."""
    bound = tuple(map(int, version.split(".")))
    begun = here[: len(bound)]
    return {
        ">=": begun >= bound,
        "<=": begun <= bound,
        "==": begun == bound,
        "!=": begun != bound,
        "~=": begun >= bound and here[: len(bound) - 1] == bound[:-1],
        "<": begun < bound,
        ">": here > bound,
    }[sign]
