"""Environments are made on threads, the first of which may come at the same time as the second."""

from __future__ import annotations

import subprocess
import sys
import sysconfig

import pytest

FIRST_AT_ONCE = """
import sysconfig, threading, time

read = sysconfig._init_posix
def slowly(found):
    time.sleep(0.3)
    read(found)
sysconfig._init_posix, sysconfig._CONFIG_VARS = slowly, None
if hasattr(sysconfig, "_CONFIG_VARS_INITIALIZED"):
    sysconfig._CONFIG_VARS_INITIALIZED = False

import skylift.compute.environments.uv as uv
import skylift.compute.container.images as images

wrong = []
def find():
    try:
        uv.find_uv.__wrapped__()
        assert images._SUFFIX
    except Exception as problem:
        wrong.append(repr(problem))
threads = [threading.Thread(target=find) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(wrong)
"""


@pytest.mark.skipif(not hasattr(sysconfig, "_init_posix"), reason="reads its settings in another way")
def test_two_environments_may_be_the_first_ones_at_once() -> None:
    """Python reads its own settings where they are asked for first, and another thread sees them half read."""
    pytest.importorskip("uv")
    done = subprocess.run([sys.executable, "-c", FIRST_AT_ONCE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout
