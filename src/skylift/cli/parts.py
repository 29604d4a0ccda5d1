"""What every command needs: the runtime of the project the user stands in, or of the server it talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from skylift.errors import SetupError
    from skylift.runtime import Runtime


def open_runtime() -> Runtime:
    """The runtime of the working folder's project, or of the server that the settings name. Use it as a context
    manager."""
    from skylift.config import load_config
    from skylift.remote.open import runtime_for

    return runtime_for(load_config(), on_trouble=_tell)


def _tell(trouble: SetupError | None) -> None:
    """A server has gone while we wait for something, or has come back."""
    if trouble is None:
        click.echo("the server answers again", err=True)
    else:
        click.echo(f"warning[{trouble.code}]: {trouble.message}; trying again until it does", err=True)
