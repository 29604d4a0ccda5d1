"""Why something waits, in a few words for people."""

from __future__ import annotations

from skylift.compute.batch.refusing import cpus, gib, why_never
from skylift.compute.batch.scaling import may_run_on, members_free
from skylift.compute.batch.scheduler import Scheduler
from skylift.compute.batch.work import Needs, Work, eligible


def explain(state: Scheduler, token: str, now_ms: int) -> str | None:
    """None for what neither waits nor runs here."""
    placed = state.placed.get(token)
    if placed is not None:
        names = [f"{_kind(state, machine)} {machine}" for machine in dict.fromkeys(placed.machines)]
        return "on " + ", ".join(names)
    work = state.queues.waiting.get(token)
    return None if work is None else _waiting(state, work, now_ms)


def _waiting(state: Scheduler, work: Work, now_ms: int) -> str:
    if state.at_limit(work):
        return f"{work.most} of at most {work.most} attempts of {work.lane} run"
    never = why_never(work, state.policy.kinds, state.policy.most_mcpus)
    if never is not None:
        return f"{never[0]}; a box that has it may still join" if state.policy.open else never[0]
    reasons = (_starting(state, work, now_ms), _no_capacity(state, work, now_ms), _behind(state, work))
    return next((reason for reason in reasons if reason), None) or _no_room(state, work)


def _starting(state: Scheduler, work: Work, now_ms: int) -> str | None:
    nodes = [node for node in state.nodes.starting() if _suits(state, work, node.machine.kind.name)]
    if nodes:
        oldest = min(nodes, key=lambda node: node.machine.since_ms)
        seconds = max(0, now_ms - oldest.machine.since_ms) // 1000
        return f"a machine is starting ({oldest.machine.kind.name}, {seconds} s)"
    asked = [kind for kind in state.pending.values() if _suits(state, work, kind.name)]
    return f"a machine is asked for ({asked[0].name})" if asked else None


def _suits(state: Scheduler, work: Work, kind: str) -> bool:
    return any(each.name == kind for each in eligible(work.needs, state.policy.kinds))


def _no_capacity(state: Scheduler, work: Work, now_ms: int) -> str | None:
    """All kinds it could run on are out of stock."""
    kinds = eligible(work.needs, state.policy.kinds)
    held = [state.backoff.get(kind.name) for kind in kinds]
    out = [backoff for backoff in held if backoff is not None and backoff.until_ms > now_ms]
    if not out or len(out) < len(kinds):
        return None
    soonest = min(out, key=lambda backoff: backoff.until_ms)
    seconds = -(-(soonest.until_ms - now_ms) // 1000)
    return f"no {' or '.join(kind.name for kind in kinds)} to be had ({soonest.reason}); asked for again in {seconds} s"


def _behind(state: Scheduler, work: Work) -> str | None:
    """What is served first: queues of higher priority, then its own share's earlier submissions."""
    queues, mine = state.queues, state.queues.priority(work)
    higher: dict[str, int] = {}
    earlier = 0
    order = queues.order(work.token)
    for other in queues.waiting.values():
        if queues.priority(other) > mine:
            higher[other.queue] = higher.get(other.queue, 0) + 1
        elif (other.queue, other.share) == (work.queue, work.share):
            rank = (-other.priority, queues.order(other.token))
            earlier += rank < (-work.priority, order)
    if higher:
        name, count = max(higher.items(), key=lambda item: item[1])
        return f"behind {_jobs(count)} of queue {name}"
    return f"behind {_jobs(earlier)} of queue {work.queue}" if earlier else None


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _no_room(state: Scheduler, work: Work) -> str:
    needs, wants = work.needs, _wants(work.needs)
    if state.reserved is not None and state.reserved[0] == work.token:
        return f"waits for {wants}: {_machines(len(state.reserved[1]))} kept free for it"
    if needs.nodes > 1:
        rooms = state.nodes.ready_rooms()
        there = sum(members_free(needs, room) for room in rooms if may_run_on(needs, room.kind, state.policy.kinds))
        return f"waits for room for {needs.nodes} members at once ({wants} each): {there} have it now"
    if state.policy.most_mcpus is not None and state.policy.most_mcpus > 0:
        limit = f"{state.policy.most_mcpus / 1000:g} vCPUs"
        return f"waits for {wants}: the compute environment is at its limit of {limit}"
    return f"waits for {wants}: all machines that have it are busy"


def _machines(count: int) -> str:
    return "1 machine is" if count == 1 else f"{count} machines are"


def _wants(needs: Needs) -> str:
    parts = [cpus(needs.mcpus)]
    if needs.memory_mib:
        parts.append(gib(needs.memory_mib))
    if needs.gpus:
        parts.append(f"{needs.gpus} {needs.gpu or 'GPU'}")
    return ", ".join(parts)


def _kind(state: Scheduler, machine: str) -> str:
    node = state.nodes.get(machine)
    return "machine" if node is None else node.machine.kind.name
