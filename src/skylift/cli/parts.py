"""What every command needs: the runtime of the project the user stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skylift.runtime import Runtime


def open_runtime() -> Runtime:
    """The runtime of the working folder's project. Use it as a context manager."""
    from skylift.config import load_config
    from skylift.runtime import Runtime

    return Runtime(load_config())
