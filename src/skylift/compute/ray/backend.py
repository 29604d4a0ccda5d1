"""The Ray backend, as the engine has it: it speaks with the project's supervisor on the cluster through a bridge."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

from skylift.compute.basics import Basics
from skylift.compute.process.machine import unsendable
from skylift.compute.ray.capabilities import CAPABILITIES
from skylift.compute.ray.cluster import Cluster
from skylift.compute.ray.desk import cannot_start
from skylift.compute.ray.link import Link, LinkLost
from skylift.compute.ray.shape import offers_of
from skylift.compute.ray.wire import (
    BridgeConfig,
    Events,
    Standing,
    Submit,
    SupervisorConfig,
    Wrote,
    decode,
    decode_event,
    encode,
    outcome_of,
    pack_call,
)
from skylift.errors import SkyliftError
from skylift.ports.compute import (
    Cancelled,
    Leased,
    Lost,
    Offer,
    Outcome,
    Report,
    Requirements,
    TaskCall,
)

_MOST_CALLS = 500
_MOST_LOGS = 200_000
_MOST_MEMBERS = 1_000
_NODES_S = 5.0
_WALL_S = 10.0
"""So often is looked whether the machine has slept: leases end by the wall's clock."""
_STARTING_MS = 180_000
_IDLE_S = 2.0
_REMAINS = "remains:"


class RayBackend(Basics):
    """`address` None: a cluster of this machine that is started when it is needed, kept in `folder`.

    Attempts belong to the supervisor, an actor of the cluster that outlives the engine: `close` leaves what runs, and
    the next engine adopts it when it submits it again. `check_environment` is given the digest of an environment and
    raises SkyliftError for one that no node can make; `keep_probe` puts the blob again that nodes look for, so that no
    clean-up takes it away.
    """

    capabilities = CAPABILITIES

    def __init__(
        self,
        report: Report,
        config: SupervisorConfig,
        *,
        folder: Path,
        address: str | None = None,
        cpus: int | None = None,
        check_environment: Callable[[str], object] | None = None,
        keep_probe: Callable[[], object] | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self.name = config.host.backend
        self._report = report
        self._config = config
        self._address = address
        self._cpus = cpus
        self._check_environment = check_environment or (lambda digest: None)
        self._keep_probe = keep_probe or (lambda: None)
        self._announce = announce or _to_stderr
        self._client = f"{os.uname().nodename}-{os.getpid()}-{os.urandom(4).hex()}"
        self._cluster = None if address is not None else Cluster(folder, self._client)
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._held: dict[str, str | None] = {}
        """Tokens of attempts that were not reported, and their logs."""
        self._logs: dict[str, None] = {}
        """Files that attempts may have written to, in the order in which they were submitted."""
        self._unsent: dict[str, TaskCall] = {}
        self._link: Link | None = None
        self._connecting = threading.Lock()
        self._standing: tuple[float, Standing] | None = None
        self._lost_link: str | None = None
        self._busy_at: float | None = None
        """When something was last in the cluster; None while its lease says that nothing is."""
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=f"skylift-{self.name}", daemon=True)
        self._thread.start()

    # The port ---------------------------------------------------------------------------------------------------

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        standing = self._stand()
        nodes = standing.nodes if standing is not None else []
        return offers_of(self.name, requirements, nodes, self._config.grows)

    def submit(self, calls: Sequence[TaskCall]) -> None:
        with self._wake:
            if self._closed:
                return
            for call in calls:
                if call.token not in self._held:
                    self._held[call.token] = call.log
                    self._expect_logs(call)
                    self._unsent[call.token] = call
            self._wake.notify_all()

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        with self._lock:
            held = [token for token in tokens if token in self._held]
            sent, link = [token for token in held if token not in self._unsent], self._link
        found: dict[str, Literal["queued", "running"]] = dict.fromkeys(held, "queued")
        if link is not None and sent:
            with contextlib.suppress(LinkLost):  # then it is not known which of them run
                found.update(decode(link.ask("poll", encode(sent)), dict[str, Literal["queued", "running"]]))
        return found

    def explain(self, tokens: Collection[str]) -> Mapping[str, str]:
        with self._lock:
            link, waiting = self._link, [token for token in tokens if token in self._unsent]
        said = dict.fromkeys(waiting, "waits for the cluster to be reached")
        if link is not None:
            try:
                asked = [token for token in tokens if token not in said]
                said.update(decode(link.ask("explain", encode(asked), timeout=5.0), dict[str, str]))
            except LinkLost:
                pass
        return said

    def cancel(self, tokens: Collection[str]) -> None:
        with self._lock:
            if self._closed:
                return
            dropped = [token for token in tokens if self._unsent.pop(token, None) is not None]
            for token in dropped:
                del self._held[token]
            link, known = self._link, [token for token in tokens if token in self._held]
        for token in dropped:
            self._report(token, Cancelled())
        if link is not None and known:
            with contextlib.suppress(LinkLost):  # what it held is lost, and reported so
                link.start("cancel", encode(known))

    def sweep(self, live: Collection[str]) -> None:
        alive = set(live)
        with self._lock:
            stray = [token for token in self._held if token not in alive]
        self.cancel(stray)

    def leased(self) -> Sequence[Leased]:
        found = [] if self._cluster is None else self._leased_cluster(self._cluster)
        standing = self._stand(fresh=True)
        if standing is None or not (standing.holdings or standing.places or found or standing.clients > 1):
            return found
        held = [
            Leased(
                backend=self.name,
                kind="worker",
                id=f"attempt:{one.token}",
                until_ms=one.until_ms,
                token=one.token,
                run_id=one.run_id,
                note=one.label,
            )
            for one in standing.holdings
        ]
        note = f"{standing.places} places"
        actor = f"supervisor:{standing.name}"
        return [
            *held,
            Leased(backend=self.name, kind="worker", id=actor, until_ms=standing.until_ms, note=note),
            *found,
        ]

    def end(self, leased: Sequence[Leased]) -> None:
        attempts = [one.token for one in leased if one.id.startswith("attempt:") and one.token is not None]
        whole = any(one.id.startswith("supervisor:") for one in leased)
        ours = self._cluster is not None and any(one.id.startswith("cluster:") for one in leased)
        link = self._present() if attempts or whole else None
        try:
            if link is not None and attempts:
                link.ask("end", encode(attempts))
            if link is not None and whole:
                link.ask("stop")
                self._wait_for_loss(link)
        except LinkLost:
            pass  # gone: that was wanted
        if self._cluster is not None and any(one.id.startswith(_REMAINS) for one in leased):
            self._cluster.end_left()
        if ours and self._cluster is not None:
            self._cluster.end()
            if link is not None:
                self._wait_for_loss(link)

    def close(self) -> None:
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._unsent.clear()
            self._held.clear()
            self._wake.notify_all()
        self._thread.join()
        with self._connecting:
            link, self._link = self._link, None
        left = 0 if link is None else self._leave(link)
        if self._cluster is not None and left:
            self._cluster.leave()
        elif self._cluster is not None:
            self._cluster.release()

    def connect(self) -> Standing:
        """Be connected now. Raises SetupError."""
        with self._connecting:
            link = self._link or self._connected(must_exist=False)
        return link.standing

    def abandon(self) -> None:
        """For tests: as if this engine had died."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._thread.join()
        if self._link is not None:
            self._link.kill()

    # The thread -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        renew_at = renewed_s = 0.0
        while True:
            with self._wake:
                if not self._unsent and self._lost_link is None:
                    due_s = min(self._third_s, renew_at - time.monotonic(), self._idle_in_s, _WALL_S)
                    self._wake.wait(max(0.05, due_s))
                if self._closed:
                    return
                calls = list(self._unsent.values())[:_MOST_CALLS]
                lost, self._lost_link = self._lost_link, None
            slept = abs(time.time() - renewed_s) >= self._third_s
            if self._link is not None and (slept or time.monotonic() >= renew_at):
                renew_at, renewed_s = time.monotonic() + self._third_s, time.time()
                self._renew()
            if lost is not None:
                self._recover(lost)
            elif calls:
                self._send(calls)
            self._mark_idle()

    def _renew(self) -> None:
        """The supervisor takes every question for a sign of life; this is for the rest."""
        if self._cluster is not None:
            with contextlib.suppress(OSError):  # a full disk; there are two more thirds
                self._cluster.renew(self._config.lease_ms)
        with contextlib.suppress(OSError, SkyliftError):  # the storage is away: what needs it says so
            self._keep_probe()

    def _mark_busy(self) -> None:
        """From here on the cluster is wanted even if this process is killed: for whoever adopts what runs there."""
        self._busy_at = time.monotonic()
        if self._cluster is not None:
            with contextlib.suppress(OSError):  # a full disk; the next call tries again
                self._cluster.mark(busy=True)

    def _mark_idle(self) -> None:
        """Some time after the last end was told, so that it is in the journal, and no short call costs a file."""
        with self._lock:
            if self._held:
                self._busy_at = time.monotonic()
        if self._cluster is not None and self._busy_at is not None and self._idle_in_s <= 0:
            self._busy_at = None
            with contextlib.suppress(OSError):  # then it stays for its lease
                self._cluster.mark(busy=False)

    @property
    def _idle_in_s(self) -> float:
        return math.inf if self._busy_at is None else self._busy_at + _IDLE_S - time.monotonic()

    @property
    def _third_s(self) -> float:
        return self._config.lease_ms / 3000

    def _send(self, calls: list[TaskCall]) -> None:
        try:
            with self._connecting:
                link = self._link or self._connected(must_exist=False)
            body = self._packed(calls)
            self._mark_busy()
            with self._lock:
                if self._closed or self._link is not link:
                    return
                answer = link.start("submit", body)
                for call in calls:
                    self._unsent.pop(call.token, None)
            answer.wait(30.0)
        except LinkLost:
            return  # `_gone` sees to what it held
        except Exception as problem:  # noqa: BLE001  # whatever it is, the calls must not wait for ever
            hint = f" ({problem.hint})" if isinstance(problem, SkyliftError) and problem.hint else ""
            refused = cannot_start(f"Backend {self.name} cannot be started: {problem}{hint}")
            for call in calls:
                self._finish(call.token, refused)

    def _packed(self, calls: list[TaskCall]) -> bytes:
        bodies: list[bytes] = []
        checked: set[str] = set()
        for call in calls:
            digest = call.requirements.environment
            try:
                if digest is not None and digest not in checked:
                    self._check_environment(digest)
                    checked.add(digest)
                bodies.append(pack_call(call))
            except (TypeError, ValueError, RecursionError, OverflowError) as error:
                self._finish(call.token, unsendable(call.label, error))
            except SkyliftError as problem:
                self._finish(call.token, cannot_start(f"{problem} ({problem.hint})" if problem.hint else str(problem)))
        return encode(Submit(bodies))

    def _recover(self, reason: str) -> None:
        """The link has ended. What the supervisor still holds goes on; the rest is lost."""
        with self._lock:
            tokens = [token for token in self._held if token not in self._unsent]
        if not tokens:
            return
        known: list[str] = []
        try:
            with self._connecting:
                link = self._link or self._connected(must_exist=True)
            known = decode(link.ask("known", encode(tokens)), list[str])
        except (LinkLost, SkyliftError):
            pass
        for token in tokens:
            if token not in known:
                self._finish(token, Lost(reason=f"the Ray cluster or its supervisor was lost: {reason}"))

    # Connections ------------------------------------------------------------------------------------------------

    def _present(self) -> Link | None:
        """The link, if there is something to be connected with: no cluster is started for a question."""
        with self._connecting:
            if self._link is not None or self._closed:
                return self._link
            if self._cluster is not None and self._cluster.facts() is None:
                return None
            try:
                return self._connected(must_exist=True)
            except SkyliftError:
                return None

    def _connected(self, *, must_exist: bool) -> Link:
        environment = dict(os.environ)
        starting_ms = max(self._config.lease_ms, _STARTING_MS)  # nothing is renewed before it is connected
        address = self._address or ""
        if self._cluster is not None:
            facts = self._cluster.facts() if must_exist else None
            if facts is None:
                facts, started = self._cluster.ensure(self._cpus, starting_ms)
                if started:
                    self._announce(_started(facts.address, facts.listens))
            else:
                self._cluster.renew(starting_ms)
            address = facts.address
            environment.update(self._cluster.environment())
        config = BridgeConfig(
            address=address,
            client=self._client,
            ours=self._cluster is not None,
            must_exist=must_exist,
            supervisor=self._config,
        )
        link = Link(
            config,
            environment,
            events=self._heard,
            gone=self._gone,
            note=lambda text: self._announce(f"{self.name}: {text}"),
        )
        if self._cluster is not None:
            self._cluster.renew(self._config.lease_ms)
        self._link = link
        self._standing = (time.monotonic(), link.standing)
        return link

    def _heard(self, data: bytes) -> None:
        events: Events = decode(data, Events)
        for body in events.events:
            event = decode_event(body)
            if isinstance(event, Wrote):
                if event.path in self._logs:  # the cluster says where, and it may run anybody's code
                    _append(event.path, event.data)
            else:
                self._finish(event.token, outcome_of(event))

    def _expect_logs(self, call: TaskCall) -> None:
        """The oldest are forgotten some time: what is written there after so many attempts comes too late."""
        if call.log is None:
            return
        members = range(1, min(call.requirements.nodes, _MOST_MEMBERS))
        self._logs.update(dict.fromkeys([call.log, *(f"{call.log}.{rank}" for rank in members)]))
        while len(self._logs) > _MOST_LOGS:
            del self._logs[next(iter(self._logs))]

    def _finish(self, token: str, outcome: Outcome) -> None:
        with self._lock:
            self._unsent.pop(token, None)
            if self._closed or token not in self._held:
                return
            del self._held[token]
        self._report(token, outcome)

    def _gone(self, link: Link, reason: str) -> None:
        with self._wake:
            if self._link is link:
                self._link = None
                self._standing = None
                self._lost_link = reason
                self._wake.notify_all()

    def _wait_for_loss(self, link: Link) -> None:
        until = time.monotonic() + 20.0
        while self._link is link and time.monotonic() < until:
            time.sleep(0.02)

    def _leave(self, link: Link) -> int:
        """How many attempts go on."""
        try:
            standing: Standing = decode(link.ask("detach", timeout=5.0), Standing)
            return len(standing.holdings) + standing.unheard
        except LinkLost:
            return 0
        finally:
            link.close()

    def _stand(self, *, fresh: bool = False) -> Standing | None:
        """What is known of the cluster, if it is connected; not older than a few seconds."""
        link = self._present() if fresh else self._link
        if link is None:
            return None
        known = self._standing
        if known is not None and not fresh and time.monotonic() - known[0] < _NODES_S:
            return known[1]
        try:
            standing: Standing = decode(link.ask("standing", timeout=5.0), Standing)
        except LinkLost:
            return None
        self._standing = (time.monotonic(), standing)
        return standing

    def _leased_cluster(self, cluster: Cluster) -> list[Leased]:
        facts, until_ms = cluster.facts(), cluster.until_ms()
        found = {} if facts is None else {f"cluster:{facts.pid}": f"Ray at {facts.address}"}
        found |= {f"{_REMAINS}{temp}": "Ray without its keeper" for temp in cluster.left()}
        return [
            Leased(backend=self.name, kind="cluster", id=name, until_ms=until_ms, note=note)
            for name, note in found.items()
        ]


def _started(address: str, listens: Sequence[str]) -> str:
    wide = [place for place in listens if not place.startswith(("127.", "::1", "localhost"))]
    where = f"{', '.join(listens)}" if listens else address
    beyond = f"; beyond this machine: {', '.join(wide)}" if wide else ""
    return f"ray: started a cluster on this machine; it listens on {where} (a token is needed{beyond})"


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _append(path: str, data: bytes) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as log:
        log.write(data)
