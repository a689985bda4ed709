"""The house: doors open one way, nothing happens at import, strings stay at the door."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vaekit"

# Each room may import from rooms on lower floors, from its own, and from what is listed beside it.
FLOORS = [
    {"errors"},
    {"language"},
    {"gaussian", "data", "runtime"},
    {"networks"},
    {"distributions"},
    {"posteriors", "priors", "likelihoods"},
    {"vae"},
    {"objectives"},
    {"evaluation"},
    {"training", "aggregate"},
    {"sentence"},
    {"artifact", "classroom", "conformance"},
    {"estimator"},
    {"plots", "reproductions"},
    {"report"},
    {"cli"},
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
SELF_CONTAINED = {"gaussian": set(), "data": {"errors", "language"}}


def modules():
    return sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a module imports when it runs; imports for type checkers alone do not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[1] for name in names if name.startswith("vaekit.")}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_doors_open_one_way(path):
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    for other in imported_rooms(path) - {room}:
        assert FLOOR[other] < FLOOR[room] or FLOOR[other] == FLOOR[room], f"{room} must not import {other}"
        if room in SELF_CONTAINED:
            assert other in SELF_CONTAINED[room], f"{room} stands alone, but imports {other}"


def test_rooms_of_one_floor_do_not_form_a_circle():
    edges = {(room_of(p), other) for p in modules() for other in imported_rooms(p) if other != room_of(p)}
    level = {(a, b) for a, b in edges if a in FLOOR and b in FLOOR and FLOOR[a] == FLOOR[b]}
    assert not {(a, b) for a, b in level if (b, a) in level}


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in modules()} - {"__init__", "__main__"}
    assert rooms <= set(FLOOR)


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


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_assertions_and_no_pickle_in_the_source(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}: raise an error with a message"
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & {"pickle", "dill", "cloudpickle", "joblib"}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_modules_and_what_packages_offer_are_there_and_documented(path):
    name = ".".join(["vaekit", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
    loaded = importlib.import_module(name)
    assert loaded.__doc__
    for public in getattr(loaded, "__all__", []):
        thing = getattr(loaded, public)
        if path.name == "__init__.py" and (inspect.isclass(thing) or inspect.isfunction(thing)):
            assert inspect.getdoc(thing), f"{name}.{public}"
