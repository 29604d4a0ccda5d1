"""What the simulated cloud can do."""

from __future__ import annotations

from skylift.ports.compute import Capabilities

CAPABILITIES = Capabilities(environments=True, images=True, gangs=True, warns=True, releases=True)
"""Functions run in worker processes, which give it what those have. An image only decides where a task may go."""
