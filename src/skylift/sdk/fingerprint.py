"""What a task's result depends on besides its inputs: a digest of its code and of the project code it uses."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from typing import Any


def fingerprint(function: Callable[..., Any]) -> str:
    """Digest of a function's code closure."""
    from skylift.sdk.compiler.source import SourceMissing, read_function

    try:
        node = read_function(function).node
    except (SourceMissing, SyntaxError):
        return hashlib.sha256(function.__code__.co_code).hexdigest()
    return hashlib.sha256(ast.dump(node).encode()).hexdigest()
