"""How the venue answers what is not HTTP: briefly, and without a word on its own output.

aiohttp would print a traceback for each such request and send the client's bytes back to it.
"""

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

UNREADABLE = '{"code":-1000,"msg":"This is not a request that can be read."}'


class _Handler(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Refuse what the parser could not read; anything else is aiohttp's own matter."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        answer = web.Response(status=status, text=UNREADABLE, content_type="application/json")
        answer.force_close()
        return answer


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class VenueRunner(web.AppRunner):
    """Runs the venue's application with these answers."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            loop=made._loop,  # noqa: SLF001 - aiohttp offers no other way to its handler
            **made._kwargs,  # noqa: SLF001
        )
