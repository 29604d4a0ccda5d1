"""What the handlers of the API share, made once for a server."""

from __future__ import annotations

from skylift.server.api.visible import Visible
from skylift.server.context import ServerContext
from skylift.server.ends import Ends


class Services:
    """`context` with what only this API needs."""

    def __init__(self, context: ServerContext) -> None:
        self.context = context
        self.visible = Visible(context)
        self.ends = context.part(Ends)
