"""The four addresses of the server."""

from typing import Any

from fastapi import FastAPI, Request, Response

from dfer.train.use.serve import page
from dfer.train.use.serve.exchange import Desk, Exchange
from dfer.train.use.serve.guard import Guard
from dfer.train.use.serve.served import Served


def make_app(desk: Desk, served: Served, host: str) -> Any:
    """Make the ASGI application.

    served: what the page says about the model
    host: that the server was told to listen on
    """
    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None
    )  # FastAPI's own pages load scripts from elsewhere
    files = {
        "/": (page.upload_page(served, desk.limits), "text/html"),
        "/serve.css": (page.style(), "text/css"),
        "/serve.js": (page.script(), "text/javascript"),
    }
    for path, (content, kind) in files.items():
        app.add_api_route(path, _constant(content, kind), methods=["GET"])

    @app.post("/videos")
    async def answer(request: Request) -> Response:
        return Exchange(desk, request)

    return Guard(app, host)


def _constant(content: str, kind: str) -> Any:
    async def send() -> Response:
        return Response(content, media_type=kind)

    return send
