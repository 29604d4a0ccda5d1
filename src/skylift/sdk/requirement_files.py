"""Reads what an author names as a task's environment: requirements, lock files, lines in the code, a script's block."""

from __future__ import annotations

import contextlib
import hashlib
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from skylift.errors import AuthorError

_SCRIPT = re.compile(r"(?m)^# /// script\s*$\n(?P<body>(?:^#(?:| .*)$\n)+?)^# ///\s*$")
_OPTION = re.compile(
    r"(?P<name>--index-url|--extra-index-url|--find-links|-i|-f)[\s=]*(?P<where>\S.*)"
    r"|(--no-binary|--only-binary)[\s=]+\S.*|--pre|--prefer-binary"
)
_SECRET = re.compile(r"://[^/@\s:]*:[^/@\s]*@|(?<!ssh)://[^/@\s]+@")
"""A password in an address, or a user without one, which is a token then; but for ssh."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*($|[;@(<>=!~])")


class EnvironmentInvalid(AuthorError):
    """The packages that a task asks for cannot be read, found or used together."""

    code = "ENVIRONMENT-INVALID"


class _Source(msgspec.Struct, frozen=True):
    """A file of a package in a lock file."""

    hashes: dict[str, str] = {}


class _Package(msgspec.Struct, frozen=True):
    name: str
    version: str | None = None
    marker: str | None = None
    wheels: tuple[_Source, ...] = ()
    sdist: _Source | None = None


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
        lines.append(_checked(Line(text.strip(), f"environment[{number}]"), None))
    return lines


def file_lines(path: Path) -> tuple[list[Line], str | None]:
    """Of a file, by its name; and the `requires-python` of a script."""
    if not path.is_file():
        raise EnvironmentInvalid(
            f"environment={path.name!r}: there is no file {path}",
            hint="paths count from the file that defines the task; for packages write a list: environment=[…]",
        )
    text = _text(path)
    if path.name == "uv.lock":
        return _exported(path), None
    if path.suffix == ".toml":
        return _pylock(path, text), None
    if path.suffix == ".py":
        return _script(path, text)
    return list(_requirements(path, text, ())), None


def _text(path: Path) -> str:
    """Also with the mark that editors of Windows put in front."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise EnvironmentInvalid(f"{path} cannot be read: {problem}", hint="save it as UTF-8 text") from None


def files_behind(path: Path) -> set[Path]:
    """The file and those that it includes, as far as they can be read: with them the environment changes."""
    found, waiting = set[Path](), [path]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        if file.suffix not in (".toml", ".lock", ".py"):
            with contextlib.suppress(EnvironmentInvalid):
                waiting += [file.parent / other for _, line in _logical(_text(file)) if (other := _included(line))]
    return found


def _included(line: str) -> str | None:
    """What a line `-r other.txt` names."""
    match = re.fullmatch(r"(?:-r|--requirement(?=[\s=]|$))[\s=]*(.*)", line)
    return None if match is None else match[1]


def _requirements(path: Path, text: str, above: tuple[Path, ...]) -> Iterator[Line]:
    """Lines of a requirements file, and of those that it includes."""
    for number, line in _logical(text):
        place = f"{path.name}:{number}"
        included = _included(line)
        if included is None:
            yield _checked(Line(line, place), path.parent)
            continue
        other = path.parent / included
        if "://" in included or other.resolve() in (*above, path.resolve()) or not other.is_file():
            why = "only files of this machine can be included" if "://" in included else f"there is no file {other}"
            why = "includes itself" if other.is_file() else why
            raise EnvironmentInvalid(f"{place}: {_unsecret(line)}: {why}", hint="name another file, or leave it out")
        yield from _requirements(other, _text(other), (*above, path.resolve()))


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


def _checked(line: Line, folder: Path | None) -> Line:
    """As it is built anywhere: no folders of this machine, no passwords; a wheel by its path is tied to its content.
    Paths count from `folder`, where there is one."""
    text = line.text
    if _SECRET.search(text):
        raise EnvironmentInvalid(
            f"{line.place}: this names a password, and environments are kept with the run",
            hint="put it into a netrc file, or into UV_INDEX_NAME_PASSWORD",
        )
    if len(text.splitlines()) > 1:
        raise EnvironmentInvalid(f"{line.place}: {text!r} is more than one line", hint="write one requirement each")
    if text.startswith("-"):
        return Line(_option(line, folder), line.place)
    if not _PLAIN.match(text):
        raise EnvironmentInvalid(
            f"{line.place}: {text!r} is not a requirement",
            hint='write "name==1.2", or for a wheel "name @ file:///path/name-1.2-py3-none-any.whl"',
        )
    return Line(_tied(line, folder), line.place)


def _unsecret(text: str) -> str:
    """For a message."""
    return _SECRET.sub("://…@", text)


def _option(line: Line, folder: Path | None) -> str:
    match = _OPTION.fullmatch(line.text)
    if match is None:
        raise EnvironmentInvalid(
            f"{line.place}: {line.text!r} cannot be part of an environment",
            hint="write plain requirements; what an editable install or a constraint gives: uv pip compile",
        )
    where = match["where"]
    if where is None or "://" in where:
        return line.text
    return f"{match['name']} {_path(line, where, folder)}"


def _path(line: Line, text: str, folder: Path | None) -> Path:
    """A file or folder of this machine, wherever the tool is started."""
    path = Path(text).expanduser()
    if folder is None and not path.is_absolute():
        raise EnvironmentInvalid(f"{line.place}: {line.text}: {text} is a relative path", hint="write the whole path")
    whole = path if folder is None else folder / path
    if not whole.exists():
        raise EnvironmentInvalid(f"{line.place}: {line.text}: there is no {whole}", hint="name what is there")
    return whole.resolve()


def _tied(line: Line, folder: Path | None) -> str:
    """`name @ file:///…` with the digest of the file, so that another wheel there is another environment."""
    match = re.match(r"(?P<before>[^;@]*@\s*)(?P<url>[^\s;#]+)(?P<rest>.*)$", line.text)
    if match is None or ("://" in match["url"] and not match["url"].startswith("file://")):
        return line.text
    here = match["url"].startswith("file://")
    path = Path(unquote(urlsplit(match["url"]).path)) if here else _path(line, match["url"], folder)
    if not path.is_file():
        raise EnvironmentInvalid(f"{line.place}: {line.text}: there is no file {path}", hint="build the wheel first")
    url = match["url"] if here else path.as_uri()
    if "#sha256=" in match["rest"]:
        return f"{match['before']}{url}{match['rest']}"
    return f"{match['before']}{url}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}{match['rest']}"


def _exported(path: Path) -> list[Line]:
    from skylift.compute.environments.resolving import export_uv_lock

    text = "\n".join(export_uv_lock(path.parent))
    return [_checked(Line(line, path.name), path.parent) for _, line in _logical(text)]


def _pylock(path: Path, text: str) -> list[Line]:
    """A lock file of PEP 751."""
    document = _toml(path, text)
    packages, version = document.get("packages"), document.get("lock-version")
    if version is None or not isinstance(packages, list):
        raise EnvironmentInvalid(
            f"{path.name} is not a lock file (it has no `lock-version` and `packages`)",
            hint="name uv.lock, pylock.toml or a requirements file",
        )
    if str(version).partition(".")[0] != "1":
        raise EnvironmentInvalid(f"{path.name} has the lock-version {version!r}, and 1 is known", hint="export it anew")
    return [_locked(path, package) for package in packages]


def _locked(path: Path, package: Any) -> Line:
    try:
        found = msgspec.convert(package, _Package)
    except msgspec.ValidationError as problem:
        raise EnvironmentInvalid(f"{path.name}: a package of it: {problem}", hint="export the lock file anew") from None
    name, version = found.name, found.version
    sources = [*found.wheels, *([found.sdist] if found.sdist is not None else [])]
    hashes = sorted({f"--hash={kind}:{value}" for one in sources for kind, value in one.hashes.items()})
    if version is None or not hashes:
        raise EnvironmentInvalid(
            f"{path.name}: package {name!r} has no version with hashes of its files",
            hint="packages from version control or folders cannot be locked: build a wheel of them",
        )
    marker = f" ; {found.marker}" if found.marker is not None else ""
    line = Line(" ".join([f"{name}=={version}{marker}", *hashes]), f"{path.name} ({name})")
    return _checked(line, path.parent)


def _script(path: Path, text: str) -> tuple[list[Line], str | None]:
    """The block `# /// script` of a Python file (PEP 723)."""
    blocks = list(_SCRIPT.finditer(text))
    if len(blocks) > 1:
        raise EnvironmentInvalid(f"{path.name} has {len(blocks)} blocks of dependencies", hint="write one")
    found = blocks[0] if blocks else None
    if found is None:
        raise EnvironmentInvalid(
            f"{path.name} has no block of dependencies", hint="write one: # /// script, # dependencies = […], # ///"
        )
    body = "\n".join(line[2:] if line.startswith("# ") else line[1:] for line in found["body"].splitlines())
    block = _toml(path, body)
    first = text[: found.start()].count("\n") + 1
    asked, python = block.get("dependencies", []), block.get("requires-python")
    if not isinstance(asked, list) or not all(isinstance(one, str) for one in asked):
        raise EnvironmentInvalid(f"{path.name}:{first}: dependencies is {asked!r}", hint="write a list of texts")
    if not isinstance(python, str | None):
        raise EnvironmentInvalid(f"{path.name}:{first}: requires-python is {python!r}", hint='write ">=3.11"')
    place = f"{path.name}:{first}"
    return [_checked(Line(one.strip(), f"{place} ({_unsecret(one)})"), path.parent) for one in asked], python


def _toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise EnvironmentInvalid(f"{path.name} cannot be read: {problem}") from None
