"""The templates of the pages, with what they need to write text as HTML."""

import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["page_templates"]


def page_templates() -> "Environment":
    """Return the templates of pages, with the filters that they use."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vaekit.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    environment.filters["breakable"] = _breakable
    return environment


def _code(text: str) -> Markup:
    """Return text as HTML, with what stands between back quotes set as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _breakable(text: str) -> Markup:
    """Return text as HTML in which a line may break behind a comma or a colon."""
    return Markup(re.sub(r"([,:])", r"\1<wbr>", str(escape(text))))
