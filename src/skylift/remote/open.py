"""Here or on a server: the settings say which."""

from __future__ import annotations

from collections.abc import Callable

from skylift.config import Config
from skylift.errors import SetupError
from skylift.runtime import Runtime


def runtime_for(config: Config, *, on_trouble: Callable[[SetupError | None], None] | None = None) -> Runtime:
    """The runtime of the project, or of the server that `config.url` names."""
    if config.url is None:
        return Runtime(config)
    from skylift.remote.runtime import RemoteRuntime

    return RemoteRuntime(config, on_trouble=on_trouble)
