"""Files and folders as values: their content travels, and a path comes out on the other side."""

from __future__ import annotations

import os
from pathlib import Path


class _Located:
    """Something at a path of this machine. Usable wherever a path is: `open(value)`, `value / "name"`, `str(value)`."""

    __slots__ = ("path",)

    path: Path

    def __init__(self, path: str | os.PathLike[str]) -> None:
        object.__setattr__(self, "path", Path(path))

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed; make a new one")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and str(other) == str(self)

    def __hash__(self) -> int:
        return hash((type(self), str(self.path)))

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (str(self.path),)


class File(_Located):
    """A file whose content a step hands on. It arrives as a read-only file of the same name; a `pathlib.Path` would
    only hand on the text of the path.

        @task
        def render(table: Table) -> File:
            ...
            return File("report.html")
    """

    __slots__ = ()

    def read_bytes(self) -> bytes:
        return self.path.read_bytes()

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.path.read_text(encoding)


class Directory(_Located):
    """A folder with all files below it; arrives as a folder that belongs to the step, free to be changed."""

    __slots__ = ()

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return self.path / name
