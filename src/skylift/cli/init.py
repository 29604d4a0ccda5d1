"""`skylift init`: a first project that runs."""

from __future__ import annotations

from pathlib import Path

import click

from skylift.errors import SetupError

PIPELINE = '''"""A first pipeline: square numbers in parallel, then add them up.

Run it:  skylift run pipeline.py --numbers 1 2 3
"""

from skylift import pipeline, task


@task
def square(number: int) -> int:
    return number * number


@task(retry=2, timeout="1m")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@pipeline
def first(numbers: list[int] = [1, 2, 3]) -> int:
    squares = [square(number) for number in numbers]
    return total(squares)
'''

CONFIG = """# Settings of this project. Every line is optional; what is commented out shows the default.

[skylift]
# home = ".skylift"          # journal, artifacts and logs
# durability = "normal"      # "full" also survives power loss
# workers = 4                # worker processes; default: one per processor

[functions]
# my-function = "module:handler"       # what runs when a definition names this Lambda function

[secrets]
# API_TOKEN = { env = "API_TOKEN" }    # or file, keyring, command; tasks ask for it with secrets=["API_TOKEN"]
"""

IGNORE_LINES = (".skylift/", "__pycache__/", ".venv/")


class AlreadyThere(SetupError):
    """`init` never overwrites."""

    code = "EXISTS"


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
def init(folder: Path) -> None:
    """Write pipeline.py, skylift.toml and .gitignore into FOLDER (default: here). Never overwrites a file."""
    there = [str(folder / name) for name in ("pipeline.py", "skylift.toml") if (folder / name).exists()]
    if there:
        raise AlreadyThere(f"{' and '.join(there)} exists already", hint="give another folder: skylift init FOLDER")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.py").write_text(PIPELINE, encoding="utf-8")
    (folder / "skylift.toml").write_text(CONFIG, encoding="utf-8")
    _ignore(folder / ".gitignore")
    prefix = "" if folder == Path() else f"cd {folder} && "
    click.echo(f"wrote pipeline.py, skylift.toml and .gitignore in {folder}")
    click.echo(f"try it: {prefix}skylift run pipeline.py --numbers 1 2 3")


def _ignore(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    missing = [line for line in IGNORE_LINES if line not in lines]
    if missing:
        file.write_text("\n".join([*lines, *missing]) + "\n", encoding="utf-8")
