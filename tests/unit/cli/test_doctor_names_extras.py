"""`skylift doctor` tells of every extra there is, whether it is here or not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from skylift.cli.doctor import OPTIONAL, _machine, _uv

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_every_extra_is_named() -> None:
    extras = set(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"])
    mends = [mend for _, _, mend in OPTIONAL] + [_uv().mend or ""]
    named = {found[1] for mend in mends if (found := re.search(r"skylift\[(\w+)]", mend))}
    assert named == extras - {"dev"}


def test_names_stand_in_their_column() -> None:
    names = [name for name, _, _ in OPTIONAL] + [finding.name for finding in _machine()]
    assert max(len(name) for name in names) <= 13
