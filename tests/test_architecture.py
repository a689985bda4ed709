"""The house: doors open one way, no circles, files of a size to read, parts that keep their contract."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vaekit"
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"

# The floors of the house, from the ground up: a room imports from the floors below, and from its own without circles.
FLOORS = [
    ["errors"],
    ["language"],
    ["contracts", "data", "gaussian", "runtime"],
    ["networks"],
    ["distributions"],
    ["likelihoods", "posteriors", "priors"],
    ["vae"],
    ["objectives"],
    ["evaluation"],
    ["aggregate", "training"],
    ["sentence"],
    ["artifact", "classroom", "conformance"],
    ["estimator"],
    ["jobs"],
    ["plots", "reproductions"],
    ["explorer", "export", "report"],
    ["application"],
    ["cli"],
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
SELF_CONTAINED = {"gaussian": set(), "data": {"errors", "language"}, "language": {"errors"}, "errors": set()}

# Rooms that speak with parts, objectives and distributions: by their contract, never by looking for attributes.
SPEAKS_WITH_PARTS = [
    "application", "conformance", "distributions", "estimator", "evaluation", "export", "likelihoods", "networks",
    "objectives", "posteriors", "priors", "report", "sentence", "training", "vae",
]  # fmt: skip
# Looks at something else than a part.
LOOKS = {"estimator/given_rows.py": 6}  # at what a user gives as data


@cache
def modules():
    return sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    parts = ["vaekit", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts).removesuffix(".__init__")


KNOWN = {dotted(path): path for path in modules()}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> list[ast.AST]:
    """The statements and expressions of a module, inside functions too."""
    return list(ast.walk(tree(path)))


@cache
def imports(path: Path) -> set[str]:
    """The modules of vaekit that a module imports, for type checkers and inside functions too."""
    found = set()
    for node in nodes(path):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in KNOWN else node.module for name in inside]
        found |= {name for name in names if name in KNOWN and name != "vaekit"}
    return found - {dotted(path)}


def rooms_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path)} - {room_of(path)}


def circle(edges: dict[str, set[str]]) -> list[str]:
    """A circle of a directed graph, of any length; empty where there is none."""
    state: dict[str, int] = {}

    def visit(node: str, path: list[str]) -> list[str]:
        state[node] = 1
        for other in sorted(edges.get(node, ())):
            if state.get(other) == 1:
                return [*path[path.index(other) :], other] if other in path else [other, node, other]
            if other not in state and (found := visit(other, [*path, other])):
                return found
        state[node] = 2
        return []

    for node in sorted(edges):
        if node not in state and (found := visit(node, [node])):
            return found
    return []


def test_the_search_for_circles_finds_them():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == ["b", "c", "d", "b"]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_doors_open_one_way(path):
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    for other in rooms_imported(path):
        assert FLOOR[other] <= FLOOR[room], f"{room} must not import {other}"
        if room in SELF_CONTAINED:
            assert other in SELF_CONTAINED[room], f"{room} stands alone, but imports {other}"


def test_no_circle_of_rooms():
    edges = defaultdict(set)
    for path in modules():
        edges[room_of(path)] |= rooms_imported(path)
    edges.pop("__init__")
    assert circle(edges) == []


@pytest.mark.parametrize("room", sorted({path.parent.name for path in modules()} - {"vaekit"}))
def test_no_circle_within_a_room(room):
    """Of a room's files; its ``__init__`` offers what they have, so none of them may import from it."""
    inside = {name for name, path in KNOWN.items() if path.parent.name == room}
    edges = {name: imports(KNOWN[name]) & inside for name in inside}
    offered = edges.pop(f"vaekit.{room}", set())
    assert circle(edges | {f"vaekit.{room}": offered}) == []


def test_no_circle_of_sub_rooms():
    """Nor of a room's own files with its sub-rooms, into which of them only ``__init__`` looks."""
    for folder in sorted({path.parent.parent for path in modules()} - {SOURCE, SOURCE.parent}):
        above = dotted(folder / "__init__.py")
        edges = defaultdict(set)
        for name, path in KNOWN.items():
            if name.startswith(f"{above}."):
                edges[name.split(".")[2]] |= {
                    other.split(".")[2] for other in imports(path) if f"{above}." in other
                }
        assert circle({name: others - {name} for name, others in edges.items()}) == []


def test_every_room_has_a_floor():
    assert {room_of(path) for path in modules()} - {"__init__", "__main__"} == set(FLOOR)


def test_the_drawing_in_contributing_is_true():
    drawing = re.search(r"```text\n(.*?)```", CONTRIBUTING.read_text(), re.S)
    assert drawing is not None
    drawn = [re.findall(r"[a-z]+", line.split("|")[0]) for line in drawing[1].splitlines() if line.strip()]
    assert drawn == [sorted(rooms) for rooms in reversed(FLOORS)]


def test_importing_vaekit_imports_nothing_heavy_and_changes_nothing():
    code = """
import sys, warnings
filters = list(warnings.filters)
import vaekit
assert warnings.filters == filters
heavy = {"torch", "numpy", "pandas", "sklearn", "matplotlib", "scipy"} & set(sys.modules)
assert not heavy, heavy
import torch
state, validation = torch.get_rng_state(), torch.distributions.Distribution._validate_args
precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
import vaekit.estimator, vaekit.plots, vaekit.report, vaekit.gaussian
assert torch.equal(state, torch.get_rng_state())
assert torch.distributions.Distribution._validate_args == validation
assert (precision, threads) == (torch.get_float32_matmul_precision(), torch.get_num_threads())
assert torch.is_grad_enabled()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) == "language"], ids=name_of)
def test_the_language_needs_no_torch(path):
    code = f"import sys; import {dotted(path)}; assert not {{'torch', 'numpy'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_assertions_and_no_pickle_in_the_source(path):
    for node in nodes(path):
        assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}: raise an error with a message"
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & {"pickle", "dill", "cloudpickle", "joblib"}


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) in SPEAKS_WITH_PARTS], ids=name_of)
def test_nothing_looks_for_attributes_of_a_part(path):
    calls = [
        ast.unparse(node)
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("hasattr", "getattr")
    ]
    assert len(calls) <= LOOKS.get(name_of(path), 0), calls


def test_files_have_a_size_to_read_and_a_name_of_their_own():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in modules()}
    long = {name: lines for name, lines in lengths.items() if lines > LONG.get(name, LONGEST)}
    assert not long, f"over {LONGEST} lines: cut it where an idea ends"
    names = defaultdict(list)
    for path in modules():
        if path.name not in ("__init__.py", "__main__.py"):
            names[path.name].append(name_of(path))
    twice = {name: where for name, where in names.items() if len(where) > 1}
    assert not {name for name in twice if name not in SHARED_NAMES}, twice


LONGEST = 400
# Most of it is the documentation of one class: its parameters and its methods, each of which calls a plain function.
# The schema is mostly the documentation of its properties.
LONG = {"estimator/estimator.py": 770, "data/schema.py": 430}
SHARED_NAMES: set[str] = set()


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_modules_and_what_they_offer_are_there_and_documented(path):
    loaded = importlib.import_module(dotted(path))
    assert loaded.__doc__
    offered = getattr(loaded, "__all__", [])
    assert len(set(offered)) == len(offered)
    for public in offered:
        thing = getattr(loaded, public)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{loaded.__name__}.{public}"
    if path.name in ("__init__.py", "__main__.py"):
        return
    defined = {
        node.name
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }
    imported_elsewhere = {name for name, importer in names_imported()[loaded.__name__] if importer != path}
    assert not (defined & imported_elsewhere) - set(offered), "imported elsewhere, and not in __all__"


@cache
def names_imported() -> dict[str, set[tuple[str, Path]]]:
    """Of every module the names that are imported from it, each with who does."""
    found = defaultdict(set)
    for path in modules():
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and node.module:
                found[node.module] |= {(alias.name, path) for alias in node.names}
    return found


RIDDLE = re.compile(r"(What|Which|Whose|Where|Who|How|When)\b")


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_docstrings_open_with_what_the_thing_is_or_does(path):
    for node in [n for n in nodes(path) if isinstance(n, ast.FunctionDef | ast.ClassDef)]:
        text = ast.get_docstring(node) or ""
        assert not RIDDLE.match(text), f"{name_of(path)}:{node.lineno}: {text.splitlines()[0]}"
