"""One run of the checks over a document: what is known so far, shared by all of them."""

from __future__ import annotations

from skylift.asl.validation.report import Report
from skylift.asl.validation.variables import VariableScope


class Check:
    """The report and what must be unique or looked up over the whole document."""

    def __init__(self, report: Report, *, express: bool = False) -> None:
        self.report = report
        self.express = express
        """The document is for an Express machine."""
        self.language = "JSONPath"
        """The document's own query language, which states inherit, whatever the state around them says."""
        self.scope = VariableScope(None)
        """Of the flow being read."""
        self.scopes = [self.scope]
        self.state_pointers: dict[str, str] = {}
        self.labels: dict[str, str] = {}

    def enter(self, *, closed: bool) -> VariableScope:
        """Begin a flow inside the present one; `closed` if it cannot see variables. Give the result to `leave`."""
        around = self.scope
        self.scope = VariableScope(around, closed=closed)
        self.scopes.append(self.scope)
        return around

    def leave(self, around: VariableScope) -> None:
        self.scope = around
