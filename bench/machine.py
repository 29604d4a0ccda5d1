"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import sqlite3
from pathlib import Path

import psutil


def facts() -> dict[str, str]:
    """Nothing that names the machine."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {_distribution()}",
        "Python": f"{platform.python_version()} ({platform.python_compiler()})",
        "SQLite": sqlite3.sqlite_version,
        "load before the start": load(),
    }


def load() -> str:
    """How busy the machine is; figures taken beside other work are worth less."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg()) + " (1, 5, 15 minutes)"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.platform())
    except OSError:
        return platform.platform()
