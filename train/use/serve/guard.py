"""Keeps other web pages out, and this page to itself.

A page of another site can make a browser send requests here. It cannot choose two headers: `Origin` names that site
(it would post videos or read answers: CSRF), and `Host` the name by which the browser came here (a name of that site
that points to this machine: DNS rebinding).
"""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
READING = ("GET", "HEAD")


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: Any, host: str) -> None:
        """host: the name or address that the server was told to listen on"""
        self._app, self._host = app, host.lower()

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        async def send_with_headers(message: dict) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self._app
        if reason := self._refused(scope["method"], Headers(scope=scope)):
            app = PlainTextResponse(reason, 403)
        await app(scope, receive, send_with_headers)

    def _refused(self, method: str, headers: Headers) -> str:
        """Why a request is refused, for a person; empty where it is not."""
        host = headers.get("host", "")
        if not self._known(host):
            return "Refused: open this page by the IP address that `train serve` printed, not by a name."
        if method not in READING and headers.get("origin", "") != f"http://{host}":
            return "Refused: only this server's own page may send videos."
        return ""

    def _known(self, host: str) -> bool:
        """Whether a Host header is an address or a name that no other site can have."""
        try:
            parts = urlsplit(f"//{host}")
        except ValueError:
            return False
        name = parts.hostname or ""
        if parts.netloc != host or "@" in host:  # a path, or user information before the address
            return False
        return name in ("localhost", self._host) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        return False
