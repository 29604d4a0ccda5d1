"""`python -m skylift.compute.worker.solo FOLDER`: one attempt, and the supervisor that outlives its engine.

The attempt runs in a child; this process keeps its limits and its lease, and writes how it ended when nothing of it is
left. It needs nobody: an engine that comes later finds all it has to know in the folder (`solo_files`).

Signals: SIGTERM says that the machine is about to be taken away and is passed on to the attempt (`current.warn`),
SIGINT stops it, as the file `stop` does for whoever comes too early for a signal.
"""

from __future__ import annotations

import os
import signal
import sys

from skylift.compute.worker.solo_child import run_attempt
from skylift.compute.worker.solo_files import ORDER, STOP, read_order, there, write_outcome
from skylift.compute.worker.solo_supervisor import Supervisor
from skylift.compute.worker.solo_tree import adopt_orphans
from skylift.ports.compute import Cancelled, Lost


def main(folder: str) -> None:
    """Ends with status 0 whenever there is an outcome on file, however the attempt went."""
    order = read_order(folder)
    if order is None:
        write_outcome(folder, Lost(reason=f"the attempt's {ORDER} could not be read"))
        return
    supervisor = Supervisor(folder, order)
    if not supervisor.alone():
        return  # another supervisor has this attempt
    if there(folder, STOP):
        write_outcome(folder, Cancelled())
        return
    adopt_orphans()
    supervisor.listen()
    child, stream = supervisor.fork()
    if child == 0:
        run_attempt(folder, order, stream)
    supervisor.serve(child, stream)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # until there is an attempt to tell of it
    main(os.path.abspath(sys.argv[1]))
