"""The `aws` command, for tests that drive the server with it."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

import pytest

OURS = Path(__file__).parents[1] / "build" / "aws-command" / "bin" / "aws"
"""Where `.ci/run` puts one that is new enough for AWS_DISABLE_HOST_PREFIX_INJECTION."""


@functools.cache
def aws_command() -> str:
    """A working `aws`; wrappers of version managers may find nothing behind them."""
    for found in (str(OURS), "/usr/bin/aws", "/usr/local/bin/aws", shutil.which("aws")):
        if found and Path(found).exists() and not subprocess.run([found, "--version"], capture_output=True).returncode:
            return found
    pytest.skip("the aws command line is not installed: .ci/run puts one into build/aws-command")
