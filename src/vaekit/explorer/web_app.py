"""The page as a web application: who may ask, what may be asked, and the answers as JSON.

Every address begins with a random token, which is compared in constant time; requests for another host than this
machine are refused (a page elsewhere can point a name of its own at 127.0.0.1, "DNS rebinding"), and so is everything
that is none of the questions below. No file is looked for by a name that a request gives: there are only the page and
its two scripts and style sheet.
"""

import secrets
import sys
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from vaekit.errors import DataError, UsageError
from vaekit.explorer.exploration import Exploration
from vaekit.explorer.page_files import page_file, served_page

__all__ = ["web_app"]

_LONGEST_BODY = 4 << 20  # bytes: the numbers of 100,000 rows take less than 1 MiB
_HEADERS = {
    "Cache-Control": "no-store",
    # plotly compiles its shaders' drawing commands, which is what 'unsafe-eval' allows
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
}


class _Question(msgspec.Struct, forbid_unknown_fields=True):
    """A question of the page: the arguments of a method of :class:`Exploration`."""


class _Nothing(_Question):
    pass


class _Colours(_Question):
    by: str


class _Map(_Question):
    kind: str = "dimensions"
    first: int = 0
    second: int = 0


class _Decode(_Map, kw_only=True):
    z: list[float]
    given: dict[str, str] | None = None


class _DecodePlace(_Map, kw_only=True):
    place: tuple[float, float]
    base: list[float]
    given: dict[str, str] | None = None


class _DecodeCodes(_Question):
    codes: list[int]
    given: dict[str, str] | None = None


class _Row(_Question):
    row: int


class _Walk(_Map, kw_only=True):
    start: int
    end: int
    given: dict[str, str] | None = None


class _Rows(_Question):
    rows: list[int]


def web_app(exploration: Exploration, token: str) -> Starlette:
    """Return the application that serves the page of a model to those who know the token.

    Parameters
    ----------
    exploration
        The model and its rows.
    token
        The first part of every address.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from vaekit import VariationalAutoencoder
    >>> vae = VariationalAutoencoder(latent=2, epochs=1, random_state=0).fit(load_iris().data)
    >>> [route.path for route in web_app(Exploration(vae), "secret").routes]
    ['/{token}/ask/{question}', '/{token}/', '/{token}/{file}', '/{path:path}']
    """
    answers: dict[str, tuple[type[_Question], Callable[..., Any]]] = {
        "alive": (_Nothing, dict),
        "description": (_Nothing, exploration.description),
        "map": (_Map, exploration.map),
        "colours": (_Colours, exploration.colours),
        "decode": (_Decode, exploration.decode),
        "decode_place": (_DecodePlace, exploration.decode_place),
        "decode_codes": (_DecodeCodes, exploration.decode_codes),
        "row": (_Row, exploration.row),
        "walk": (_Walk, exploration.walk),
        "neighbours": (_Row, exploration.neighbours),
        "selection": (_Rows, exploration.selection),
        "selection_csv": (_Rows, exploration.selection_csv),
    }

    async def ask(request: Request) -> Response:
        if not _knows(request, token):
            return _error(403, _NO_TOKEN)
        if request.path_params["question"] not in answers:
            return _error(404, "there is no such question")
        kind, answer = answers[request.path_params["question"]]
        try:
            asked = msgspec.json.decode(await _body(request), type=kind)
            found = await run_in_threadpool(answer, **msgspec.structs.asdict(asked))
        except msgspec.MsgspecError as error:
            return _error(400, f"the question cannot be read: {error}")
        except (UsageError, DataError) as error:
            return _error(400, str(error))
        except ClientDisconnect:
            return _error(400, "the question was cut off")
        except Exception:  # one question that fails must not end the page
            traceback.print_exc(file=sys.stderr)
            return _error(500, "the question failed; the terminal says why")
        return _json(200, found)

    async def file(request: Request) -> Response:
        if not _knows(request, token):
            return _error(403, _NO_TOKEN)
        found = page_file(request.path_params["file"])
        if found is None:
            return _error(404, "there is no such page")
        return Response(found.content, media_type=found.media_type, headers=_HEADERS)

    async def page(request: Request) -> Response:
        if not _knows(request, token):
            return _error(403, _NO_TOKEN)
        return Response(served_page(exploration.name), media_type="text/html", headers=_HEADERS)

    async def refuse(request: Request) -> Response:
        return _error(404 if _knows(request, token) else 403, _NO_TOKEN)

    return Starlette(
        routes=[
            Route("/{token}/ask/{question}", ask, methods=["POST"]),
            Route("/{token}/", page, methods=["GET"]),
            Route("/{token}/{file}", file, methods=["GET"]),
            Route("/{path:path}", refuse, methods=["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
        ],
    )


_NO_TOKEN = "this address is not complete: open the one that the terminal shows, with all its letters"


def _knows(request: Request, token: str) -> bool:
    """Return whether a request has the token, in a time that tells nothing about it."""
    given = request.url.path.lstrip("/").partition("/")[0]
    return secrets.compare_digest(given.encode(errors="replace"), token.encode())


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_BODY:
            raise UsageError(f"a question of more than {_LONGEST_BODY:,} bytes")
    return body


def _json(status: int, document: Any) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json", headers=_HEADERS)


def _error(status: int, message: str) -> Response:
    return _json(status, {"error": message})
