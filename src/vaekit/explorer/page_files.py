"""The files of the page: one template, one script and one style sheet of this package, and plotly's bundle."""

import importlib.resources
from functools import cache
from typing import Any, NamedTuple

from markupsafe import Markup

from vaekit.errors import MissingExtraError

__all__ = ["PageFile", "page_file", "served_page", "single_page"]


class PageFile(NamedTuple):
    """The content of a file, and its media type."""

    content: str
    media_type: str


def page_file(name: str) -> PageFile | None:
    """Return a file that the page loads; None for any other name.

    >>> page_file("../exploration.py") is None, page_file("explorer.css").media_type
    (True, 'text/css')
    """
    if name == "plotly.js":
        return PageFile(_plotly_script(), "text/javascript")
    kinds = {"explorer.js": "text/javascript", "explorer.css": "text/css"}
    return PageFile(_packaged(name), kinds[name]) if name in kinds else None


def served_page(name: str) -> str:
    """Return the page that asks a server."""
    return _rendered(name=name, answers=None)


def single_page(name: str, answers: str) -> str:
    """Return the page as one file: scripts, style and the answers to its questions, as JSON, stand in it."""
    # In a script element nothing is escaped, and only "</" or "<!--" could end or change it.
    safe = answers.replace("<", "\\u003c")
    return _rendered(
        name=name,
        answers=Markup(safe),
        style=Markup(_packaged("explorer.css")),
        script=Markup(_packaged("explorer.js")),
        plotly=Markup(_plotly_script()),
    )


def _plotly_script() -> str:
    """Return plotly's bundle, which comes inside its Python package.

    Raises
    ------
    MissingExtraError
        If plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtraError.for_extra("the page to explore a model", "explore") from error
    return get_plotlyjs()


@cache
def _packaged(name: str) -> str:
    return importlib.resources.files("vaekit.explorer").joinpath("templates", name).read_text("utf-8")


def _rendered(**values: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vaekit.explorer", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("explorer.html.jinja").render(**values)
