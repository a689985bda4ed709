"""Pages that follow from the code: the reference, the command line's help, and the benchmarks.

They are written into ``docs/reference`` and ``docs/benchmarks`` at the start of every build, and not committed.
"""

import contextlib
import inspect
import io
import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
from sphinx.pycode import ModuleAnalyzer

from vaekit.sentence.literature import MODELS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
MARK = ".. Written by docs/extensions/generated_pages.py at every build.\n\n"

# In the order a reader meets them; whatever is not named here comes after, by name.
ORDER = [
    "vaekit",
    "vaekit.application",
    "vaekit.estimator",
    "vaekit.sentence",
    "vaekit.sentence.literature",
    "vaekit.networks",
    "vaekit.posteriors",
    "vaekit.priors",
    "vaekit.likelihoods",
    "vaekit.objectives",
    "vaekit.training",
    "vaekit.evaluation",
    "vaekit.data",
    "vaekit.gaussian",
    "vaekit.plots",
    "vaekit.report",
    "vaekit.explorer",
    "vaekit.artifact",
    "vaekit.errors",
]


def setup(app):
    app.connect("builder-inited", write_pages, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app):
    docs = Path(app.srcdir)
    pages = {f"reference/{module}.rst": reference_page(module) for module in public_modules(SOURCE)}
    pages["reference/command-line.rst"] = command_line_page()
    pages["reference/models.rst"] = models_page()
    pages |= benchmark_pages(ROOT / "benchmarks")
    for name, text in pages.items():
        path = docs / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for folder, keep in (("reference", {"index.md"}), ("benchmarks", {"index.md"})):
        for path in (docs / folder).iterdir():
            if f"{folder}/{path.name}" not in pages and path.name not in keep:
                path.unlink()  # of something that is no longer there


# ------------------------------------------------------------------------------------------ the reference


def public_modules(source: Path) -> list[str]:
    """The package, its rooms, and the modules beside them that offer something."""
    found = ["vaekit"]
    for path in sorted((source / "vaekit").iterdir()):
        if (path / "__init__.py").exists() or (path.suffix == ".py" and not path.name.startswith("_")):
            found.append(f"vaekit.{path.stem}")
    found = [name for name in found if getattr(import_module(name), "__all__", None)]
    # A module all of whose names are the package's own has them there already.
    offered = set(import_module("vaekit").__all__)
    found = [m for m in found if m == "vaekit" or not set(import_module(m).__all__) <= offered]
    return sorted(found, key=lambda m: (ORDER.index(m) if m in ORDER else len(ORDER), m))


def reference_page(module: str) -> str:
    """A page of one module: its docstring, then every public name, with the formulas of the file it is from."""
    loaded = import_module(module)
    lines = [MARK, title(module), f".. automodule:: {module}", "   :no-members:", ""]
    groups: dict[str, list[str]] = {}
    for name in loaded.__all__:
        if page_of(module, name) != module:
            continue
        groups.setdefault(getattr(getattr(loaded, name), "__module__", None) or module, []).append(name)
    for home, names in groups.items():
        lines += [title(", ".join(f"{name}" for name in names), "-")]
        if home.startswith("vaekit.") and home != module and import_module(home).__doc__:
            lines += [f".. automodule:: {home}", "   :no-members:", "   :no-index:", ""]
        for name in names:
            lines += documented(module, name, getattr(loaded, name))
    return "\n".join(lines) + "\n"


def page_of(module: str, name: str) -> str:
    """The module on whose page a name stands: the package's, then its own room's, then that which offers it."""
    thing = getattr(import_module(module), name)
    room = ".".join((getattr(thing, "__module__", None) or module).split(".")[:2])
    for place in ("vaekit", room):
        loaded = import_module(place) if place.startswith("vaekit") else None
        if name in getattr(loaded, "__all__", ()) and getattr(loaded, name) is thing:
            return place
    return module


def documented(module: str, name: str, thing: object) -> list[str]:
    if inspect.isclass(thing):
        return [f".. autoclass:: {module}.{name}", "   :members:", "   :show-inheritance:", ""]
    if inspect.isroutine(thing):
        return [f".. autofunction:: {module}.{name}", ""]
    lines = [f".. py:data:: {name}", f"   :module: {module}"]
    if isinstance(thing, (str, int, float)):
        lines += [f"   :value: {thing!r}"]
    return [*lines, "", *("   " + line for line in comment_on(module, name, thing)), ""]


def comment_on(module: str, name: str, thing: object) -> list[str]:
    """The ``#:`` comment of a constant, in whichever module it was made."""
    for home, loaded in sorted(sys.modules.items()):
        if home.startswith(module) and getattr(loaded, name, None) is thing and inspect.getsourcefile(loaded):
            comments = ModuleAnalyzer.for_module(home).find_attr_docs()
            if ("", name) in comments:
                return comments["", name]
    return []


def title(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n"


# ------------------------------------------------------------------------------ the literature's models


def models_page() -> str:
    """The table of :mod:`vaekit.sentence.literature`."""
    lines = [
        MARK,
        title("The literature's models, as sentences"),
        "``vaekit fit DATA --model NAME`` is the same as its sentence; whatever part is given beside it wins. All",
        "parts that a sentence does not name are at their defaults. The last column names the class of the same model",
        "in pythae, the largest collection there is.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: 12 36 40 12",
        "",
    ]
    rows = [("Name", "Sentence", "Paper", "pythae")]
    for model in MODELS:
        sentence = "left out" if model.is_left_out else f"``{model.sentence}``"
        note = f" ({model.note})" if model.note else ""
        rows.append(
            (
                f"``{model.name}``",
                sentence,
                f"{model.title}: {model.paper}, {model.place}{note}",
                model.pythae,
            )
        )
    for first, *rest in rows:
        lines += [f"   * - {first}", *(f"     - {cell}" for cell in rest)]
    return "\n".join(lines) + "\n"


# --------------------------------------------------------------------------------------- the command line


def command_line_page() -> str:
    """What ``--help`` prints, for the command and for every verb."""
    from vaekit.cli.parser import verb_names

    lines = [MARK, title("The command line"), INTRODUCTION, title("vaekit", "-"), *help_of([])]
    for verb in verb_names():
        lines += [title(f"vaekit {verb}", "-"), *help_of([verb])]
    return "\n".join(lines) + "\n"


INTRODUCTION = """\
Results go to standard output, progress and messages to standard error; ``--json`` prints one JSON document.
The exit status says how it ended: 0 done, 1 failed, 2 usage, 3 bad data, 4 training diverged, 130 interrupted.
"""


def help_of(arguments: list[str]) -> list[str]:
    from vaekit.cli import main

    usual, printed = dict(os.environ), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    os.environ |= {"COLUMNS": "88", "NO_COLOR": "1"}
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*arguments, "--help"])
    finally:
        os.environ.clear()
        os.environ.update(usual)
    printed.seek(0)
    return [".. code-block:: none", "", *("   " + line.rstrip() for line in printed.read().splitlines()), ""]


# ----------------------------------------------------------------------------------------- the benchmarks


def benchmark_pages(folder: Path) -> dict[str, str]:
    """A page for each folder of benchmarks: what is measured, and the results that are committed."""
    pages = {}
    for room in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("_")):
        lines = []
        readme = room / "README.md"
        if readme.exists():
            pages[f"benchmarks/{room.name}-notes.md"] = "---\norphan: true\n---\n" + readme.read_text()
            lines += [f":doc:`Notes <{room.name}-notes>`", ""]
        for script in sorted(room.glob("*.py")):
            described = with_commands(inspect.cleandoc(docstring(script)))
            if "benchmarks/" in described:  # it is run by itself: not a part of another
                lines += [title(script.stem.replace("_", " ").capitalize(), "-"), described, ""]
        for result in sorted(room.glob("**/*.json")):
            lines += [title(str(result.relative_to(room)), "-"), *tables(json.loads(result.read_text()))]
        if lines:
            heading = title(room.name.replace("_", " ").capitalize())
            pages[f"benchmarks/{room.name}.rst"] = "\n".join([MARK, heading, *lines]) + "\n"
    return pages


def with_commands(text: str) -> str:
    """The text with its indented blocks as commands, line for line."""
    return re.sub(r"(?<=\n\n)(?=    \S)", ".. code-block:: console\n\n", text)


def docstring(script: Path) -> str:
    import ast

    return ast.get_docstring(ast.parse(script.read_text())) or ""


def tables(result: object) -> list[str]:
    """A result as a table of names and values; lists of records as tables of their own."""
    if isinstance(result, list):
        result = {"results": result}
    plain: list[tuple[str, str]] = []
    after: list[str] = []
    for name, value in flat(result):  # type: ignore[arg-type]
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            columns = list(dict.fromkeys(key for item in value for key in item))
            after += [
                f"**{name}**",
                "",
                *list_table([columns, *([written(i.get(c)) for c in columns] for i in value)]),
            ]
        else:
            plain.append((name, written(value)))
    return [*(list_table([("", ""), *plain]) if plain else []), *after]


def flat(result: dict, before: str = ""):
    for name, value in result.items():
        label = before + str(name).replace("_", " ")
        if isinstance(value, dict):
            yield from flat(value, f"{label}: ")
        else:
            yield label, value


def written(value: object) -> str:
    if isinstance(value, float):
        return np.format_float_positional(value, precision=4, fractional=False, trim="-")
    if isinstance(value, list):
        return ", ".join(map(written, value))
    return "" if value is None else str(value)


def list_table(rows) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        for number, cell in enumerate(row):
            text = str(cell).replace("\\", "\\\\").replace("*", "\\*").replace("`", "\\`").replace("|", "\\|")
            lines.append(
                ("   * - " if number == 0 else "     - ") + text.replace("\n", " ").replace("_", "\\_")
            )
    return [*lines, ""]
