"""The server of the page: on this machine alone, at an address that nobody can guess, until it is interrupted."""

import contextlib
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable

from vaekit.errors import MissingExtraError, UsageError
from vaekit.explorer.exploration import Exploration

__all__ = ["listening_socket", "serve"]

_HOST = "127.0.0.1"


def serve(
    exploration: Exploration,
    *,
    port: int = 0,
    browser: bool = True,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve the page of a model until the process is interrupted (Ctrl-C), and return.

    Parameters
    ----------
    exploration
        The model and its rows.
    port
        The port on 127.0.0.1; 0: any that is free.
    browser
        Whether to open the page in the browser.
    announce
        Called with the page's address when it can be opened.

    Raises
    ------
    UsageError
        If the port is in use, or no port.
    MissingExtraError
        If starlette and uvicorn are not installed.
    """
    try:
        import uvicorn

        from vaekit.explorer.web_app import web_app
    except ImportError as error:
        raise MissingExtraError.for_extra("the page to explore a model", "explore") from error

    token = secrets.token_urlsafe(24)
    with listening_socket(port) as listener:
        address = f"http://{_HOST}:{listener.getsockname()[1]}/{token}/"
        config = uvicorn.Config(
            web_app(exploration, token),
            log_level="critical",  # what a stranger sends is no news for the terminal
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="none",
            http="h11",
            timeout_graceful_shutdown=1,
        )
        announce(address)
        if browser:
            _open(address)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def listening_socket(port: int) -> socket.socket:
    """Return a socket that listens on a port of this machine alone, 0 for any that is free.

    Its connections send each piece of an answer at once. Otherwise the second piece would wait for the other side to
    acknowledge the first, some 40 ms, longer than it takes to decode: asyncio turns that off (``TCP_NODELAY``) only for
    sockets that name their protocol.
    """
    if not 0 <= port < 1 << 16:
        raise UsageError(f"port={port}: a port is a number from 1 to 65535, or 0 for any that is free")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"port={port}: cannot be opened ({error.strerror}); choose another, or leave it out for one that is free"
        ) from error
    return listener


def _open(address: str) -> None:
    """Open the page in a browser with windows, beside the server; where there is none the address will do."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return
    if type(found) is not webbrowser.GenericBrowser:  # that would be a browser within the terminal
        threading.Thread(target=found.open, args=(address,), daemon=True).start()
