"""The reference pages name all there is: commands and options, settings, error codes; and nothing that is not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from skylift import config
from skylift.cli.main import COMMANDS, cli
from skylift.config.backends import ComputeSettings, ContainerSettings, RaySettings, SimulatedSettings
from skylift.config.jobs import JobBinding
from skylift.sdk.resources import Resources
from skylift.sdk.task import Task

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "skylift").rglob("*.py"))


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title}"
    return found[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_explained_and_no_other(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    options = [option for one in commands for option in one.params if isinstance(option, click.Option)]
    there = {word for option in options for word in option.opts} - {"--help", "-h"}
    said = section(page("reference/cli.md"), name)
    examples = {"--rates", "--fast", "--no-fast", "--PARAMETER"}
    assert set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", said)) - examples - {"-"} == there | _commands(said, name)


def _commands(said: str, name: str) -> set[str]:
    """What another command's options are called where the text points to it."""
    return {"--attempts"} if name == "logs" and "`show --attempts`" in said else set()


def test_every_command_has_a_section() -> None:
    assert re.findall(r"^## (\w+)", page("reference/cli.md"), re.MULTILINE) == list(COMMANDS_IN_ORDER)


COMMANDS_IN_ORDER = (
    "init",
    "doctor",
    "run",
    "runs",
    "show",
    "logs",
    "events",
    "stop",
    "pause",
    "resume",
    "redrive",
    "answer",
    "quote",
    "plan",
    "rightsize",
    "spot",
    "advise",
    "prices",
    "ledger",
    "replay",
    "shell",
    "register",
    "compile",
    "check",
    "graph",
    "server",
    "keys",
    "triggers",
    "worker",
    "idle",
    "waste",
    "box",
    "sweep",
    "gc",
)


def test_no_command_is_left_out() -> None:
    assert set(COMMANDS_IN_ORDER) == set(COMMANDS)


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("`[skylift]`", config._SKYLIFT_KEYS),
        ("`[functions]`", config.FunctionBinding.__struct_fields__),
        ("`[secrets]`", config.SecretSource.__struct_fields__),
        ("`[compute]`", ComputeSettings.__struct_fields__),
        ("`[backends.container]`", ContainerSettings.__struct_fields__),
        ("`[backends.ray]`", RaySettings.__struct_fields__),
        ("`[backends.simulated]`", SimulatedSettings.__struct_fields__),
        ("`[jobs]`", JobBinding.__struct_fields__),
        ("`[server]`", config.ServerSettings.__struct_fields__),
        ("`[services]`", config.ServiceSettings.__struct_fields__),
        ("`[box]`", config.BoxSettings.__struct_fields__),
        ("`[budget]`", config.BudgetSettings.__struct_fields__),
    ],
)
def test_every_setting_is_explained(title: str, keys: tuple[str, ...]) -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) ", section(page("reference/configuration.md"), title), re.MULTILINE)
    assert sorted(re.findall(r"\w+", " ".join(rows))) == sorted(keys)


def test_every_environment_variable_is_explained() -> None:
    used = {
        node.value
        for source in SOURCES
        if "testing" not in source.parts
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch("SKYLIFT_[A-Z_]+", node.value)
    }
    assert used == set(re.findall(r"SKYLIFT_[A-Z_]+", page("reference/configuration.md")))


def test_the_example_of_settings_can_be_read(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", page("reference/configuration.md"), re.DOTALL)
    assert example
    (tmp_path / "skylift.toml").write_text(example[1], encoding="utf-8")
    found = config.load_config(tmp_path, environ={})
    assert found.workers == 4
    assert found.functions["price"].memory == "512 MiB"
    assert found.secrets["PASSWORD"].command == "pass show database"


def test_every_error_is_explained_and_no_other() -> None:
    rows = re.findall(r"^\| `([A-Z-]+)` \| `(\w+)` \|", page("reference/errors.md"), re.MULTILINE)
    assert sorted(rows) == sorted(set(_errors()))


def test_every_error_of_our_own_in_runs_is_explained() -> None:
    used = {name for source in SOURCES for name in re.findall(r'"(Skylift\.[A-Za-z]+)"', source.read_text("utf-8"))}
    assert used == set(re.findall(r"`(Skylift\.[A-Za-z]+)`", page("reference/errors.md")))


def _errors() -> Iterator[tuple[str, str]]:
    """Code and class of every error: those of classes, and those given to one error."""
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield from ((code, node.name) for code in _class_code(node))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                given = {word.arg: word.value for word in node.keywords}.get("code")
                if node.func.id.endswith("Error") and isinstance(given, ast.Constant):
                    yield str(given.value), node.func.id


def _class_code(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            if names == ["code"]:
                yield str(statement.value.value)


def test_every_option_of_a_task_is_explained() -> None:
    text = page("guide/tasks.md")
    own = {"timeout", "heartbeat", "retry", "cache", "name", "on"}
    assert own < set(Task.__init__.__annotations__)
    for option in (*Resources.__dataclass_fields__, *own):
        assert re.search(rf"`{option}[=`]", text), option


def test_every_status_is_explained() -> None:
    from skylift.asl.status import STATUSES
    from skylift.reader import INTERRUPTED

    rows = re.findall(r"^\| `([A-Z_]+)` \|", page("guide/runs.md"), re.MULTILINE)
    assert sorted(rows) == sorted((*STATUSES, INTERRUPTED))


def test_settings_have_no_field_that_is_not_looked_at() -> None:
    tables = {
        "functions",
        "jobs",
        "secrets",
        "placement",
        "backends",
        "compute",
        "server",
        "services",
        "box",
        "budget",
    }
    assert {field.name for field in msgspec.structs.fields(config.Config)} - tables - {"project", "source"} == set(
        config._SKYLIFT_KEYS
    )
