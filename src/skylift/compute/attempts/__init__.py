"""Attempts that outlive their engine: a folder for each delivery, and a supervisor of its own that reports by files.

A backend starts `python -m skylift.compute.worker.solo FOLDER` somewhere that sees the folder, and learns the rest
from it:

    folders = AttemptFolders(state / "container", lease_ms=600_000)
    watcher = Watcher(ended, lease_ms=600_000)                   # renews what it watches
    folder = folders.create(order)                               # SoloOrder: the call and how to run it
    launch.start(folder, env)                                    # or a container that mounts `folder.path`
    watcher.watch(folder)                                        # → ended(folder, outcome or None)

The next engine adopts with `folders.find(token)` and `watcher.watch`.
"""

from skylift.compute.attempts.folders import AttemptFolder, AttemptFolders
from skylift.compute.attempts.watcher import Watcher

__all__ = ["AttemptFolder", "AttemptFolders", "Watcher"]
