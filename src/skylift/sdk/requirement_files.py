"""Reads what an author names as a task's environment: requirements, lock files, lines in the code, a script's block."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from skylift.errors import AuthorError

_SCRIPT = re.compile(r"(?m)^# /// script\s*$\n(?P<body>(?:^#(?:| .*)$\n)+?)^# ///\s*$")
_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "-i", "-f", "--no-binary", "--only-binary", "--pre")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*($|[;@(<>=!~])")


class EnvironmentInvalid(AuthorError):
    """The packages that a task asks for cannot be read, found or used together."""

    code = "ENVIRONMENT-INVALID"


class Line(NamedTuple):
    """One requirement, and where it stands."""

    text: str
    place: str

    @property
    def name(self) -> str:
        found = re.match(r"[A-Za-z0-9._-]+", self.text)
        return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""

    @property
    def is_locked(self) -> bool:
        return "--hash=" in self.text


def inline_lines(requirements: Sequence[Any]) -> list[Line]:
    """Of `environment=["numpy", …]`."""
    lines = []
    for number, text in enumerate(requirements):
        if not isinstance(text, str) or not text.strip():
            raise EnvironmentInvalid(f"environment[{number}] is {text!r}", hint='write it as "scikit-learn==1.5"')
        lines.append(_checked(Line(text.strip(), f"environment[{number}]")))
    return lines


def file_lines(path: Path) -> tuple[list[Line], str | None]:
    """Of a file, by its name; and the `requires-python` of a script."""
    if not path.is_file():
        raise EnvironmentInvalid(
            f"environment={path.name!r}: there is no file {path}",
            hint="paths count from the file that defines the task; for packages write a list: environment=[…]",
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise EnvironmentInvalid(f"{path} cannot be read: {problem}") from None
    if path.name == "uv.lock":
        return _exported(path), None
    if path.suffix == ".toml":
        return _pylock(path, text), None
    if path.suffix == ".py":
        return _script(path, text)
    return list(_requirements(path, text, ())), None


def _requirements(path: Path, text: str, above: tuple[Path, ...]) -> Iterator[Line]:
    """Lines of a requirements file, and of those that it includes."""
    for number, line in _logical(text):
        place = f"{path.name}:{number}"
        word, _, rest = line.partition(" ")
        if word in ("-r", "--requirement") or line.startswith("-r"):
            other = path.parent / (rest.strip() if rest else line[2:])
            if other in (*above, path) or not other.is_file():
                why = "includes itself" if other.exists() else f"there is no file {other}"
                raise EnvironmentInvalid(f"{place}: {line}: {why}", hint="name another file, or leave the line out")
            yield from _requirements(other, other.read_text(encoding="utf-8"), (*above, path))
        else:
            yield _checked(Line(line, place))


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, those that end in a backslash joined, comments left out."""
    begun, first = "", 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        first = first if begun else number
        part = re.sub(r"(^|\s)#.*$", "", line).strip()
        if part.endswith("\\"):
            begun += part[:-1].rstrip() + " "
            continue
        whole, begun = (begun + part).strip(), ""
        if whole:
            yield first, whole


def _checked(line: Line) -> Line:
    """As it is built anywhere: no folders of this machine, no passwords; a wheel by its path is tied to its content."""
    text = line.text
    if text.startswith("-"):
        if not text.startswith(_OPTIONS):
            raise EnvironmentInvalid(
                f"{line.place}: {text!r} cannot be part of an environment",
                hint="write plain requirements; what an editable install or a constraint gives: uv pip compile",
            )
        if re.search(r"://[^/@\s]+@", text):
            raise EnvironmentInvalid(
                f"{line.place}: this names a password, and environments are kept with the run",
                hint="put it into a netrc file, or into UV_INDEX_NAME_PASSWORD",
            )
        return line
    if not _PLAIN.match(text):
        raise EnvironmentInvalid(
            f"{line.place}: {text!r} is not a requirement",
            hint='write "name==1.2", or for a wheel "name @ file:///path/name-1.2-py3-none-any.whl"',
        )
    return Line(_tied(line), line.place)


def _tied(line: Line) -> str:
    """`name @ file:///…` with the digest of the file, so that another wheel there is another environment."""
    match = re.match(r"(?P<before>[^;]*@\s*)(?P<url>file://[^\s;#]+)(?P<rest>.*)$", line.text)
    if match is None:
        return line.text
    path = Path(unquote(urlsplit(match["url"]).path))
    if not path.is_file():
        raise EnvironmentInvalid(f"{line.place}: {line.text}: there is no file {path}", hint="build the wheel first")
    if "#sha256=" in match["rest"]:
        return line.text
    return f"{match['before']}{match['url']}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}{match['rest']}"


def _exported(path: Path) -> list[Line]:
    from skylift.compute.environments.resolving import export_uv_lock

    text = "\n".join(export_uv_lock(path.parent))
    return [Line(line, path.name) for _, line in _logical(text)]


def _pylock(path: Path, text: str) -> list[Line]:
    """A lock file of PEP 751."""
    document = _toml(path, text)
    packages = document.get("packages")
    if "lock-version" not in document or not isinstance(packages, list):
        raise EnvironmentInvalid(
            f"{path.name} is not a lock file (it has no `lock-version` and `packages`)",
            hint="name uv.lock, pylock.toml or a requirements file",
        )
    return [_locked(path, package) for package in packages]


def _locked(path: Path, package: dict[str, Any]) -> Line:
    name, version = package.get("name"), package.get("version")
    sources = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
    hashes = sorted({f"--hash={kind}:{value}" for one in sources for kind, value in one.get("hashes", {}).items()})
    if name is None or version is None or not hashes:
        raise EnvironmentInvalid(
            f"{path.name}: package {name!r} has no version with hashes of its files",
            hint="packages from version control or folders cannot be locked: build a wheel of them",
        )
    marker = f" ; {package['marker']}" if "marker" in package else ""
    return Line(" ".join([f"{name}=={version}{marker}", *hashes]), f"{path.name} ({name})")


def _script(path: Path, text: str) -> tuple[list[Line], str | None]:
    """The block `# /// script` of a Python file (PEP 723)."""
    found = _SCRIPT.search(text)
    if found is None:
        raise EnvironmentInvalid(
            f"{path.name} has no block of dependencies", hint="write one: # /// script, # dependencies = […], # ///"
        )
    body = "\n".join(line[2:] if line.startswith("# ") else line[1:] for line in found["body"].splitlines())
    block = _toml(path, body)
    first = text[: found.start()].count("\n") + 1
    lines = [_checked(Line(str(one), f"{path.name}:{first} ({one})")) for one in block.get("dependencies", ())]
    return lines, block.get("requires-python")


def _toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise EnvironmentInvalid(f"{path.name} cannot be read: {problem}") from None
