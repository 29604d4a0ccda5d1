"""Finds the state machines that executions start: what the engine asks for nested runs."""

from __future__ import annotations

from skylift.engine.resolve import ResolvedMachine
from skylift.ports.journal import RunRecord
from skylift.server.caller import Caller
from skylift.server.errors import ApiError
from skylift.server.machines import Machines
from skylift.server.starts import start_attributes


class NestedMachines:
    """`engine.resolve.Resolve` over a ResourceStore."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def __call__(self, machine: str, record: RunRecord) -> ResolvedMachine | None:
        """None too for what is no ARN of a state machine, and for one of another account than the run's."""
        try:
            target = self._machines.target(machine, Caller(account=record.account))
        except ApiError:
            return None
        return ResolvedMachine(
            pipeline=target.machine.arn,
            definition=target.machine.definition,
            tasks=target.machine.tasks,
            type=target.machine.type,
            limits=target.machine.limits,
            role_arn=target.machine.role_arn,
            attributes=start_attributes(target),
        )
