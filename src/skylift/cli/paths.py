"""Files that commands are given by name: an empty name, of a variable never set, is none, and not this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class NamedFile(click.Path):
    def __init__(self, *, dir_okay: bool = False) -> None:
        super().__init__(dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).strip():
            self.fail("the name is empty: name a file", param, ctx)
        return super().convert(value, param, ctx)
