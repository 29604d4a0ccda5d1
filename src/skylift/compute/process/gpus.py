"""How busy the GPUs are, asked of the driver's own tool while attempts use them. Nothing is started without need."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time

_COMMAND = (
    "nvidia-smi",
    "--query-gpu=index,utilization.gpu,memory.used",
    "--format=csv,noheader,nounits",
    "--loop-ms=200",
)

LINGER_S = 5.0
"""It goes on for so long without an attempt: starting it for each of many short ones would cost more than they do."""


class Gauge:
    """One attempt's use of its GPUs, summed up until it is taken."""

    __slots__ = ("busy_ms", "devices", "peak_mib")

    def __init__(self, devices: tuple[int, ...]) -> None:
        self.devices = devices
        self.busy_ms = 0.0
        self.peak_mib: float | None = None

    def add(self, device: int, share: float, elapsed_ms: float, used_mib: float) -> None:
        if device in self.devices:
            self.busy_ms += share * elapsed_ms
            self.peak_mib = max(self.peak_mib or 0.0, used_mib)


class GpuSampler:
    """Reads `nvidia-smi` on a thread of its own while some gauge is open. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gauges: set[Gauge] = set()
        self._idle_since = 0.0
        self._process: subprocess.Popen[str] | None = None
        self._tool = shutil.which(_COMMAND[0])

    def open(self, devices: tuple[int, ...]) -> Gauge | None:
        """None where nothing can tell."""
        if self._tool is None or not devices:
            return None
        gauge = Gauge(devices)
        with self._lock:
            self._gauges.add(gauge)
            if self._process is None:
                self._start(self._tool)
        return gauge

    def close(self, gauge: Gauge) -> None:
        with self._lock:
            self._gauges.discard(gauge)
            self._idle_since = time.monotonic()

    def end(self) -> None:
        with self._lock:
            self._gauges.clear()
            self._stop()

    def _start(self, tool: str) -> None:
        try:
            process = subprocess.Popen(
                [tool, *_COMMAND[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        except OSError:
            self._tool = None
            return
        self._process = process
        threading.Thread(target=self._read, args=(process,), name="skylift-gpus", daemon=True).start()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()

    def _read(self, process: subprocess.Popen[str]) -> None:
        last: dict[int, float] = {}
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    device, share, used = (float(word) for word in line.split(","))
                    now = time.monotonic()
                    self._seen(int(device), share / 100, now - last.get(int(device), now), used)
                    last[int(device)] = now
        process.wait()

    def _seen(self, device: int, share: float, elapsed_s: float, used_mib: float) -> None:
        with self._lock:
            for gauge in self._gauges:
                gauge.add(device, share, elapsed_s * 1000, used_mib)
            if not self._gauges and time.monotonic() - self._idle_since > LINGER_S:
                self._stop()
