"""Docstrings as they are written here: formulas between dollars, and links by any name a thing goes by."""

import re
from importlib import import_module
from pathlib import Path

from generated_pages import public_modules

DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![`\w$\\])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\w$])")

# A shape such as (*sample_shape, k) outside of back quotes: an asterisk, not the start of an emphasis.
STAR = re.compile(r"(``.+?``|`[^`]+`)|\(\*(?=\w)", re.DOTALL)


def setup(app):
    app.connect("autodoc-process-docstring", formulas, priority=100)  # before napoleon
    app.connect("autodoc-skip-member", skip)
    app.connect("builder-inited", lambda app: HOMES.update(homes()))
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def formulas(app, what, name, obj, options, lines):
    """Turn ``$$...$$`` and ``$...$`` into Sphinx's directive and role."""
    text = STAR.sub(lambda match: match[1] or r"(\*", "\n".join(lines))
    text = DISPLAY.sub(display, text)
    lines[:] = INLINE.sub(r":math:`\1`", text).split("\n")


def display(match):
    body = "\n".join("    " + line.strip() for line in match[1].strip().splitlines())
    return f"\n.. math::\n\n{body}\n\n"


def skip(app, what, name, obj, skipped, options):
    """Leave out what NamedTuple says of its fields, and scikit-learn's methods for metadata routing."""
    of_a_field = (getattr(obj, "__doc__", None) or "").startswith("Alias for field number")
    return True if of_a_field or re.fullmatch(r"set_\w+_request", name) else None


# The name a thing is documented by, by the name of where it was made: `vaekit.vae.VAE` is `vaekit.VAE`.
HOMES: dict[str, str] = {}


def homes():
    found = {}
    for module in public_modules(Path(__file__).parents[2] / "src"):
        loaded = import_module(module)
        for name in getattr(loaded, "__all__", ()):
            thing = getattr(loaded, name)
            made = getattr(thing, "__module__", None)
            if isinstance(made, str) and made.startswith("vaekit"):
                found.setdefault(f"{made}.{name}", f"{module}.{name}")
                found.setdefault(name, f"{module}.{name}")
    return found


def resolve(app, env, node, contnode):
    """Follow a link to where a thing was made to where it is documented."""
    if node.get("refdomain") != "py":
        return None
    target = HOMES.get(node["reftarget"])
    if target is None or target == node["reftarget"]:
        return None
    domain = env.get_domain("py")
    for kind in ("class", "func", "obj"):
        found = domain.resolve_xref(env, node["refdoc"], app.builder, kind, target, node, contnode)
        if found is not None:
            return found
    return None
