"""Formulas as MathML, which browsers draw by themselves: no script, and no network to fetch one from."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)

# What TeX understands and docutils does not: fractions without braces, \Big without a side, \dots, \textstyle inside a
# group, and the space around \log.
REWRITTEN = [
    (r"(\\(?:big|Big|bigg|Bigg))(?=\s*(?:[(\[|]|\\\{))", r"\1l"),
    (r"(\\(?:big|Big|bigg|Bigg))(?=\s*(?:[)\]]|\\\}))", r"\1r"),
    (r"\\(big|Big|bigg|Bigg)\s*\\\|", r"\\\|"),
    (r"\\dots(?![A-Za-z])", r"\\ldots"),
    (r"(?<=[^{\s])(\s*)\\textstyle(?![A-Za-z])", r"\1"),
    (r"\\([td]?frac)\s*([0-9A-Za-z])\s*([0-9A-Za-z])", r"\\\1{\2}{\3}"),
    (r"\\([td]?frac)\s*([0-9A-Za-z])\s*\{", r"\\\1{\2}{"),
    (r"(\\(?:log|exp|det)|\\operatorname\{\w+\})(?=\s*[0-9A-Za-z|]|\s*\\(?!left|[,!:;>]))", r"\1\\,"),
    (r"(?<=[0-9A-Za-z})])\s*(?=\\(?:log|exp|det)(?![A-Za-z]))", r"\\,"),
]
# A bar is as high as a letter, and as far from its neighbours.
BAR = r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>'


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("config-inited", choose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def choose(app, config):
    config.html_math_renderer = "mathml"


def visit_inline(translator, node):
    translator.body.append(convert(node, as_block=False))
    raise nodes.SkipNode


def visit_block(translator, node):
    attributes = {"CLASS": "formula"}
    if node.get("ids"):
        attributes["ids"] = node["ids"]
    translator.body.append(translator.starttag(node, "div", **attributes))
    translator.body.append(convert(node, as_block=True))
    if node.get("number"):
        translator.body.append(f'<span class="eqno">({node["number"]})')
        if node.get("ids"):
            translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def convert(node, *, as_block):
    """MathML of a formula; one that is not understood is a warning, and is shown as it was written."""
    tex = node.astext().strip()
    if as_block and "\\begin{" not in tex and "\\\\" in tex:
        tex = "\\begin{aligned}" + tex + "\\end{aligned}"
    for pattern, replacement in REWRITTEN:
        tex = re.sub(pattern, replacement, tex)
    try:
        mathml = tex2mathml(tex, as_block=as_block)
        return re.sub(r'<mo(?: stretchy="false")?>([|∥‖])</mo>', BAR, mathml)
    except MathError as error:
        logger.warning("formula not understood: %s: %s", error, tex, location=node)
        return f"<code>{nodes.Text(tex).astext()}</code>"
