"""Where everything that happens is told: to the metrics and to the log."""

from __future__ import annotations

from collections.abc import Mapping

from skylift.engine.observe import TurnReport
from skylift.server.caller import Caller
from skylift.server.observability.logs import Log
from skylift.server.observability.metrics import Metrics


class Observer:
    def __init__(self, metrics: Metrics, log: Log) -> None:
        self.metrics = metrics
        self.log = log

    def turn(self, report: TurnReport) -> None:
        """One committed turn; on the engine's thread."""
        self.metrics.turn(report)
        if not self.log.tells_info:
            return
        for record in report.created:
            self.log.info("run_started", run_id=record.run_id, account=record.account, machine=record.pipeline)
        for record in report.ended:
            stopped = record.stopped_ms if record.stopped_ms is not None else report.now_ms
            self.log.info(
                "run_ended",
                run_id=record.run_id,
                account=record.account,
                machine=record.pipeline,
                status=record.status,
                error=record.error,
                duration_ms=stopped - record.created_ms,
            )

    def request(
        self, action: str, status: int, headers: Mapping[str, str], seconds: float, caller: Caller | None
    ) -> None:
        """One answered request; status 0 is one whose client has gone."""
        self.metrics.request(action, status, seconds)
        if self.log.tells_info:
            self.log.info(
                "request",
                action=action[:100] or None,
                status=status,
                duration_ms=round(seconds * 1000, 3),
                request_id=headers.get("x-amzn-requestid"),
                error=headers.get("x-amzn-errortype"),
                account=caller.account if caller else None,
                key=caller.key_id if caller else None,
            )
