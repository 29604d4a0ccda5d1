"""The process that a cluster started here belongs to: it starts Ray, and ends it when no engine has a lease on it.

It never calls `ray stop`, which ends every Ray of the machine: it ends the processes it started, and theirs. A fork of
it waits for nothing but its death, and then does the same; should both be killed, the next engine or a sweeper does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from skylift.compute.ray.cluster import Facts, facts_in, last_lease_ms, locked
from skylift.compute.ray.remains import born, end_remains, kill_processes, make_temp
from skylift.compute.worker.solo_lease import LeaseLook

_POLL_S = 0.1
_UP_S = 110.0
_CURRENT = "ray_current_cluster"
_STORE_BYTES = 128 * 2**20
"""Of Ray's object store: values travel through the artifacts, so it stays nearly empty."""


def main() -> None:
    folder, cpus = Path(sys.argv[1]), int(sys.argv[2])
    keeper = Keeper(folder, cpus)
    signal.signal(signal.SIGTERM, keeper.stop)
    try:
        keeper.start()
        keeper.keep()
    finally:
        keeper.end()


class EndedEarly(RuntimeError):
    """Ray ended before it was up."""


class Second:
    """A fork of this process, in a session of its own, that sees to the cluster's end if this one is killed."""

    def __init__(self, temp: Path) -> None:
        reading, self._alive = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._alive)
            self._wait(reading, temp)
        os.close(reading)

    def dismiss(self) -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def _wait(self, reading: int, temp: Path) -> NoReturn:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.read(reading, 1)  # ends when nobody holds the other end any more
        try:
            end_remains(temp)
        finally:
            os._exit(0)


class Keeper:
    def __init__(self, folder: Path, cpus: int) -> None:
        self._folder = folder
        self._cpus = cpus
        self._temp = make_temp(folder)
        self._second = Second(self._temp)
        self._stopping = False
        self._ray: subprocess.Popen[bytes] | None = None
        self._seen: dict[int, Any] = {}

    def stop(self, *_: object) -> None:
        self._stopping = True

    def start(self) -> None:
        """Raises when it does not come up. On a busy machine Ray gives itself up after 30 s, so it is tried again."""
        until = time.monotonic() + _UP_S
        try:
            self._launch()
            address = self._address(until)
        except EndedEarly:
            if self._stopping:
                raise
            kill_processes(self._temp)
            self._launch()
            address = self._address(until)
        self._write_facts(address)

    def _launch(self) -> None:
        (self._temp / _CURRENT).unlink(missing_ok=True)
        command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head", "--block"]
        command += ["--node-ip-address=127.0.0.1", "--port=0", "--include-dashboard=false", "--disable-usage-stats"]
        command += [
            f"--ray-client-server-port={_free_port()}",
            f"--temp-dir={self._temp}",
            f"--object-store-memory={_STORE_BYTES}",
        ]
        if self._cpus:
            command.append(f"--num-cpus={self._cpus}")
        environment = {**os.environ, "RAY_TMPDIR": str(self._temp), "RAY_USAGE_STATS_ENABLED": "0"}
        environment.pop("RAY_ADDRESS", None)
        self._ray = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)

    def keep(self) -> None:
        """Until it is told to stop, the last lease is over, or Ray has ended by itself."""
        assert self._ray is not None
        looked = 0.0
        lease = LeaseLook()
        while not self._stopping and self._ray.poll() is None:
            over, _ = lease.look(last_lease_ms(self._folder) / 1000, time.time(), time.monotonic())
            if over and self._is_over():
                return
            if time.monotonic() - looked > 2.0:
                looked = time.monotonic()
                self._note_processes()
            time.sleep(_POLL_S)

    def _is_over(self) -> bool:
        """Looked at under the lock of those who take leases: whoever comes later starts another cluster."""
        if time.time() * 1000 <= last_lease_ms(self._folder):
            return False
        with locked(self._folder):
            over = time.time() * 1000 > last_lease_ms(self._folder)
            if over:
                (self._folder / "facts.json").unlink(missing_ok=True)
            return over

    def end(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._forget()
        self._note_processes()
        end_remains(self._temp, self._seen.values())
        if self._ray is not None:
            self._ray.wait()
        self._second.dismiss()

    def _forget(self) -> None:
        """Nobody shall be sent to a cluster that ends; what another keeper wrote since is its own."""
        facts = facts_in(self._folder)
        if facts is not None and facts.pid == os.getpid():
            (self._folder / "facts.json").unlink(missing_ok=True)

    def _address(self, until: float) -> str:
        """Ray writes it when its control process is up; the node is up when it has said so in its output too."""
        file = self._temp / _CURRENT
        while time.monotonic() < until and not self._stopping:
            assert self._ray is not None
            if self._ray.poll() is not None:
                raise EndedEarly(f"ray start ended with status {self._ray.returncode}")
            if file.exists() and (address := file.read_text().strip()):
                return address
            time.sleep(_POLL_S)
        raise RuntimeError(f"Ray was not up after {_UP_S:g} s")

    def _write_facts(self, address: str) -> None:
        facts = Facts(address=address, pid=os.getpid(), started=born(os.getpid()), listens=self._listens())
        fresh = self._folder / "facts.new"
        fresh.write_bytes(msgspec.json.encode(facts))
        fresh.replace(self._folder / "facts.json")

    def _listens(self) -> tuple[str, ...]:
        """Every address that a process of the cluster listens on."""
        import psutil  # type: ignore[import-untyped, unused-ignore]

        self._note_processes()
        found = set()
        for process in self._seen.values():
            with contextlib.suppress(psutil.Error):
                for one in process.net_connections(kind="tcp"):
                    if one.status == psutil.CONN_LISTEN:
                        found.add(f"{one.laddr.ip.removeprefix('::ffff:')}:{one.laddr.port}")
        return tuple(sorted(found))

    def _note_processes(self) -> None:
        """What it started, also what left its process group: psutil knows them by their time of creation too."""
        import psutil

        with contextlib.suppress(psutil.Error):
            for process in psutil.Process().children(recursive=True):
                if process.pid != self._second.pid:
                    self._seen.setdefault(process.pid, process)
        self._seen = {pid: process for pid, process in self._seen.items() if process.is_running()}


def _free_port() -> int:
    """For the server of remote drivers, which Ray starts on a fixed port, and whether or not it is wanted."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
