"""Files of answers for `skylift advise`: read no further than is sensible, written in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skylift.advice.reading import MOST_CHARACTERS, ProjectInvalid

_HEAD = (
    "# Answers for `skylift advise`. Questions under `skipped` were left open; `skylift advise --again` asks them.\n"
)


def text_of(path: Path) -> str:
    """Raises ProjectInvalid for what is no text, and OSError."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MOST_CHARACTERS + 1)
    except UnicodeDecodeError as problem:
        said = f"{path}: is no text in UTF-8 (byte {problem.start})"
        raise ProjectInvalid(said, hint="save it as UTF-8: answers are YAML") from None


def check_writable(path: Path) -> None:
    """Before anything is asked that could not be kept. Raises ProjectInvalid."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ProjectInvalid(f"{path}: there is no folder {folder}", hint="make it, or name another file with --save")
    if not os.access(folder, os.W_OK):
        raise ProjectInvalid(f"{path}: nothing can be written to {folder}", hint="name another file with --save")


def write(path: Path, answers: Mapping[str, Any]) -> None:
    """In one step, so that a crash leaves the old answers or the new ones."""
    import yaml

    text = _HEAD + yaml.safe_dump(dict(answers), sort_keys=False, allow_unicode=True)
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)
