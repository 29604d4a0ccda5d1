"""A server with Skylift's own API only, for tests of the remote faces: `python api_server.py HOME PORT`.

A request's access key names the account: `account-111111111111`, or `account-111111111111-viewer`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from skylift.config import load_config
from skylift.runtime import Runtime
from skylift.server.api.routes import routes
from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.sigv4 import parse_authorization


class KeyedCaller:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["caller"] = caller_of(dict(scope["headers"]).get(b"authorization", b"").decode())
        await self.app(scope, receive, send)


def caller_of(authorization: str) -> Caller:
    if not authorization:
        return Caller()
    signed = parse_authorization(authorization)
    _, account, *role = signed.key_id.split("-")
    return Caller(
        account=account,
        region=signed.scope.region,
        role=Role[role[0].upper()] if role else Role.ADMIN,
        key_id=signed.key_id,
    )


def main(home: str, port: str) -> None:
    config = load_config(Path(home).parent, home=Path(home), environ={})
    with Runtime(config, adopting=True) as runtime:
        context = ServerContext(runtime, config.server)
        assert runtime.engine
        app = Starlette(routes=routes(context))
        uvicorn.run(KeyedCaller(app), host="127.0.0.1", port=int(port), log_level="warning")
        context.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
