"""`train serve`: FastAPI and uvicorn around a worker process, on this machine's own address."""

from collections.abc import Awaitable, Callable
from contextlib import closing

from dfer.schemas.support.errors import UserError
from dfer.schemas.support.processes import stop_request
from dfer.train.use.private_folder import private_folder
from dfer.train.use.serve.address import bound, is_for_this_machine, url
from dfer.train.use.serve.limits import Limits
from dfer.train.use.serve.served import Served
from dfer.train.use.serve.worker import Worker

STOP_SECONDS = 1  # for uploads that are on their way when the server is stopped

Print = Callable[[str], None]


def serve(served: Served, limits: Limits, host: str, port: int, note: Print) -> None:
    """Serve the page until a signal stops it, which raises KeyboardInterrupt.

    host, port: to listen on; port 0 is any free one
    note: called with a line for each upload, one with the address when the page can be opened, and a warning

    Raises UserError if the web framework is missing, the address cannot be used, or the model cannot be loaded.
    """
    try:
        import uvicorn

        from dfer.train.use.serve.app import make_app
        from dfer.train.use.serve.exchange import Desk
        from dfer.train.use.serve.line import Line
    except ImportError as error:
        raise UserError(
            f"`train serve` needs {error.name}, which is not installed: pip install '.[serve]'"
        ) from None
    with closing(bound(host, port)) as listener, private_folder("dfer-serve") as folder:
        if not is_for_this_machine(listener):
            note(f"warning: --host {host}: whoever reaches this machine over the network can send it videos")
        worker = Worker(served, limits, folder / "work")
        desk = Desk(
            worker=worker,
            line=Line(),
            limits=limits,
            folder=folder,
            stopping=lambda: server.should_exit,
            log=note,
        )
        app = make_app(desk, served, host)
        try:
            worker.start(note)
            listener.listen()  # from now on connections wait until uvicorn takes them
            note(f"open {url(listener)} (Ctrl-C ends it)")
            with stop_request() as request:

                async def look() -> None:
                    server.should_exit = server.should_exit or bool(request.number)

                server = uvicorn.Server(_quiet(uvicorn, app, look))
                server.run(sockets=[listener])
        finally:
            with stop_request():  # a second Ctrl-C would leave the process
                worker.stop()


def _quiet(uvicorn, app, look: Callable[[], Awaitable[None]]):
    """uvicorn's settings: it prints nothing, and believes no header that a proxy may set.

    look: called several times a second: of the signals that stop, uvicorn hears SIGINT and SIGTERM only
    """
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        callback_notify=look,
        timeout_notify=0,
    )
