"""Lambda functions that Python handlers stand in for, found by all the names that a state may call them by."""

from __future__ import annotations

from skylift.engine.routes import Refused
from skylift.ports.tasks import TaskSpec, TaskTable


def find_function(name: str, table: TaskTable) -> TaskSpec | None:
    """The handler for a function name, partial ARN (`ACCOUNT:function:NAME`) or ARN, with or without a qualifier."""
    for candidate in _function_names(name):
        spec = table.tasks.get(candidate)
        if spec is not None:
            return spec
    plain = _plain_name(name)
    for key, spec in table.tasks.items():
        if spec.convention == "handler" and ":function:" in key and _plain_name(key) == plain and ":" not in name:
            return spec
    return None


def no_function(name: str) -> Refused:
    """What the service says, and how to mend it."""
    return Refused(
        "Lambda.ResourceNotFoundException",
        f"Function not found: {name}. Map it to a handler under [functions] in skylift.toml: "
        f'{_plain_name(name)} = "module:function".',
    )


def _function_names(name: str) -> list[str]:
    """From the most to the least exact."""
    names = [name]
    head, found, tail = name.rpartition(":function:")
    if found:
        function, _, qualifier = tail.partition(":")
        names += [f"{head}:function:{function}"]
        names += [f"{function}:{qualifier}", function] if qualifier else [function]
    elif ":" in name:
        names.append(name.partition(":")[0])
    return names


def _plain_name(name: str) -> str:
    return name.rpartition(":function:")[2].partition(":")[0]
