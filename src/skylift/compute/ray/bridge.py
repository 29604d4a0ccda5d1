"""The program between an engine and a cluster: it alone speaks with Ray.

Ray ends the process of a driver whose cluster is gone, holds one connection for each process, and starts threads that
do not survive a fork. An engine must not be exposed to that: so this is a process of its own, which forwards bytes, and
whose death costs a new connection and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from skylift.compute.ray.parcel import Seen, parcel_for, requirements, words_for
from skylift.compute.ray.wire import LENGTH, BridgeConfig, Down, Events, Up, decode, encode, framed
from skylift.version import VERSION

NAMESPACE = "skylift"
_ATTACH_S = 60.0
_REACH_S = 10.0
_TRIES = 8
_HEAD = "node:__internal_head__"


def main() -> None:
    """Standard input and output are the engine's; what Ray prints goes to standard error."""
    reading, writing = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    with os.fdopen(reading, "rb") as orders:
        config: BridgeConfig = decode(_frame(orders), BridgeConfig)
        bridge = Bridge(config, writing)
        try:
            bridge.connect()
        except Exception as problem:  # noqa: BLE001  # of Ray, of any kind: the engine is told
            bridge.say(Up(0, "refused", _text(problem).encode()))
            os._exit(1)
        threading.Thread(target=bridge.listen, daemon=True).start()
        with contextlib.suppress(EOFError):
            while True:
                bridge.carry(decode(_frame(orders), Down))
    os._exit(0)


def _frame(orders: Any) -> bytes:
    head = orders.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    body: bytes = orders.read(length)
    if len(body) < length:
        raise EOFError
    return body


class Refused(Exception):
    """The cluster cannot be used as it is."""


class Bridge:
    def __init__(self, config: BridgeConfig, writing: int) -> None:
        self._config = config
        self._writing = writing
        self._lock = threading.Lock()
        self._supervisor: Any = None

    def say(self, up: Up) -> None:
        data = memoryview(framed(up))
        with self._lock:
            while data:
                data = data[os.write(self._writing, data) :]

    def connect(self) -> None:
        import ray

        self._init()
        if self._config.must_exist:
            self._supervisor = ray.get_actor(self._config.supervisor.name, namespace=NAMESPACE)
            standing = ray.get(self._supervisor.attach.remote(self._config.client), timeout=_ATTACH_S)
        else:
            if not self._config.ours and not self._exists():
                self._prepare_nodes()
            standing = self._attached()
        self.say(Up(0, "up", standing))

    def carry(self, down: Down) -> None:
        """Ask the supervisor, and pass its answer on when it comes."""
        ref = getattr(self._supervisor, down.method).remote(self._config.client, down.body)
        ref.future().add_done_callback(lambda done: self._answer(down.number, done))

    def listen(self) -> None:
        """Ends with the supervisor."""
        import ray

        seen = 0
        while True:
            try:
                data = ray.get(self._supervisor.listen.remote(self._config.client, seen))
            except Exception as problem:  # noqa: BLE001  # it or its node is gone
                self.say(Up(0, "gone", _text(problem).encode()))
                os._exit(1)
            events: Events = decode(data, Events)
            if events.events:
                self.say(Up(0, "events", data))
            seen = events.last

    def _answer(self, number: int, done: Any) -> None:
        error = done.exception()
        self.say(Up(number, "error", _text(error).encode()) if error else Up(number, "answer", done.result()))

    def _init(self, **job: Any) -> None:
        import ray

        _reach(self._config.address)
        # As Ray's own default would, but said: a mode that is not set is guessed differently by different versions.
        os.environ.setdefault("RAY_AUTH_MODE", "token" if _has_token() else "disabled")
        ray.init(self._config.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR, **job)

    def _attached(self) -> bytes:
        """The project's supervisor, made if there is none. One that is just ending is waited for."""
        import ray

        for tried in range(_TRIES):
            self._supervisor = self._made()
            try:
                answer: bytes = ray.get(self._supervisor.attach.remote(self._config.client), timeout=_ATTACH_S)
                return answer
            except (ray.exceptions.ActorDiedError, ray.exceptions.ActorUnavailableError):
                if tried == _TRIES - 1:
                    raise
                time.sleep(0.25)
        raise AssertionError

    def _exists(self) -> bool:
        """Then the nodes were looked at when it was made; places on new ones look for themselves."""
        import ray

        try:
            ray.get_actor(self._config.supervisor.name, namespace=NAMESPACE)
        except ValueError:
            return False
        return True

    def _made(self) -> Any:
        """On the head node, the one that no autoscaler takes away."""
        import ray

        from skylift.compute.ray.supervisor import Supervisor

        head = {"resources": {_HEAD: 0.001}} if _HEAD in ray.cluster_resources() else {}
        wishes: Any = {"name": self._config.supervisor.name, "namespace": NAMESPACE, "lifetime": "detached", **head}
        actor = ray.remote(Supervisor).options(
            get_if_exists=True, num_cpus=0, max_restarts=0, max_concurrency=10_000, **wishes
        )
        return actor.remote(encode(self._config.supervisor))

    # Is our code there, and can the artifacts be read? ------------------------------------------------------------

    def _prepare_nodes(self) -> None:
        import ray

        seen = self._looked()
        parcel = parcel_for(seen)
        if parcel is not None:
            self._note(words_for(seen))
            ray.shutdown()
            self._init(runtime_env=parcel)
            seen = self._looked()
        for node in seen:
            if node.lacks:
                raise Refused(f"a node cannot load skylift {VERSION}: {node.problem or ', '.join(node.missing)}")
            if node.problem is not None:
                raise Refused(
                    f"{node.problem} (every node must: give a URL that all of them reach as `artifacts`, or a folder "
                    "that they share, see the guide to Ray)"
                )

    def _looked(self) -> list[Seen]:
        """What each node answers."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        config, look = encode(self._config.supervisor.host), ray.remote(_look)
        asked = [
            look.options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(row["NodeID"], soft=False)
            ).remote(VERSION, requirements(), config)
            for row in ray.nodes()
            if row["Alive"]
        ]
        seen: list[Seen] = []
        for ref in asked:
            try:
                seen.append(Seen(*ray.get(ref, timeout=_ATTACH_S * 5)))
            except ray.exceptions.RuntimeEnvSetupError as problem:
                raise Refused(f"a node cannot be given skylift {VERSION}: {_text(problem)}") from None
            except (ray.exceptions.RayError, ValueError) as problem:  # gone since: the others count
                missed = problem
        if asked and not seen:
            raise missed
        return seen

    def _note(self, text: str) -> None:
        self.say(Up(0, "note", text.encode()))


def _look(ours: str, needs: tuple[str, ...], config: bytes) -> tuple[str, tuple[str, ...], str | None]:
    """What a node has, see `Seen`. Travels by value, for it runs where this package may not be."""
    import importlib.metadata as metadata

    from packaging.requirements import Requirement  # Ray needs it too

    missing = []
    for line in needs:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate():
            try:
                met = wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
            except metadata.PackageNotFoundError:
                met = False
            missing += [] if met else [line]
    try:
        from skylift.version import VERSION as THEIRS
    except Exception as problem:  # noqa: BLE001  # missing, broken, or older than that module
        return "", tuple(missing), f"{type(problem).__name__}: {problem}"
    if missing or ours != THEIRS:
        return THEIRS, tuple(missing), None

    from skylift.compute.ray.place import blindness
    from skylift.compute.ray.wire import HostConfig, decode

    return THEIRS, (), blindness(decode(config, HostConfig))


def _reach(address: str) -> None:
    """Ray itself takes minutes to say that nobody listens."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()
    except OSError as problem:
        raise Refused(f"nobody answers at {address}: {problem}") from None


def _has_token() -> bool:
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").is_file()


def _text(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    return text[:2_000] if isinstance(problem, Refused) else f"{type(problem).__name__}: {text}"[:2_000]


if __name__ == "__main__":
    main()
