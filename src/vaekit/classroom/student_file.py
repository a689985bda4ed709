"""Read a student's .py file or notebook: its text, its functions, its decoder, and which statements to run.

A notebook's cells are joined into one Python text, in which magics and shell lines are blanked. In a notebook, and in
a .py file whose top level cannot be run, only these top-level statements are run:

* imports (one that fails is skipped);
* definitions of functions and classes;
* assignments of constants: the right-hand side calls only functions in `HARMLESS_CALLS`;
* ``if`` and ``try`` statements that contain only these.
"""

import ast
import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType

from vaekit.errors import DataError

__all__ = [
    "HARMLESS_CALLS",
    "Source",
    "arity",
    "decoder_output",
    "definitions",
    "function_names",
    "mapping_in",
    "names_in",
    "read_source",
    "to_be_done",
]

_CALLS = """
    int float str bool len range tuple list dict set min max abs sum round device cuda.is_available
    is_available tensor as_tensor array asarray zeros ones eye arange linspace full sqrt log exp pi normal
    Normal default_rng Generator manual_seed Path
"""
HARMLESS_CALLS = frozenset(_CALLS.split())


@dataclass(frozen=True)
class Source:
    """The code of a file, and where each line of it stands in the file.

    Parameters
    ----------
    path
        The file.
    code
        The Python code, as one text.
    cells
        For a notebook, the first line in ``code`` of each code cell, with the cell's number. Empty for a .py file.
    """

    path: Path
    code: str
    cells: tuple[tuple[int, int], ...] = ()

    @property
    def is_notebook(self) -> bool:
        return self.path.suffix == ".ipynb"

    def where(self, line: int) -> str:
        """Return where a line of ``code`` stands in the file, as "line 12" or "cell 3, line 5"."""
        if not self.cells:
            return f"line {line}"
        first, number = self.cells[max(bisect_right([start for start, _ in self.cells], line) - 1, 0)]
        return f"cell {number}, line {line - first + 1}"


def read_source(path: str | Path) -> Source:
    """Read a .py file or a notebook.

    Raises
    ------
    DataError
        If the file is missing, of another kind, or not text, or if the notebook is not JSON or has no cells.
    """
    path = Path(path)
    if path.suffix not in (".py", ".ipynb"):
        raise DataError(f"{path} is neither a .py file nor an .ipynb notebook")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"cannot read {path}: {reason}") from error
    if path.suffix == ".py":
        return Source(path, text)
    try:
        notebook = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not a notebook: it is no JSON ({error})") from error
    return _join_cells(path, notebook)


def _join_cells(path: Path, notebook: object) -> Source:
    worksheets = notebook.get("worksheets") if isinstance(notebook, dict) else None
    inside = worksheets[0] if isinstance(worksheets, list) and worksheets else notebook
    cells = inside.get("cells") if isinstance(inside, dict) else None
    if not isinstance(cells, list):
        raise DataError(f"{path} is not a notebook: its JSON has no list of cells")
    lines: list[str] = []
    starts: list[tuple[int, int]] = []
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", cell.get("input", ""))
        text = "".join(map(str, source)) if isinstance(source, list) else str(source)
        starts.append((len(lines) + 1, number))
        lines += _without_magics(text)
    return Source(path, "\n".join(lines) + "\n", tuple(starts))


def _without_magics(text: str) -> list[str]:
    """Blank the lines that only IPython understands, and the whole of a cell in another language."""
    lines = text.splitlines() or [""]
    first = next((line for line in lines if line.strip()), "")
    if re.match(r"%%(?!time|timeit|capture)", first):
        return ["" for _ in lines]
    magic = re.compile(r"^\s*(%|!|\?)|^[\w.]+\?{1,2}\s*$")
    assigned = re.compile(r"^(\s*)[\w, ]+=\s*[!%]")
    kept = []
    for line in lines:
        if magic.match(line) or assigned.match(line):
            indent = line[: len(line) - len(line.lstrip())]
            kept.append(f"{indent}pass" if indent else "")
        else:
            kept.append(line)
    return kept


def mapping_in(code: str) -> dict[str, str]:
    """Return the names given in comments such as ``# vaekit: sample_z = my_sampler, kl_loss = my_kl``."""
    pairs: dict[str, str] = {}
    for line in re.findall(r"^\s*#\s*vaekit\s*:\s*(.+)$", code, flags=re.MULTILINE):
        pairs |= dict(re.findall(r"(\w+)\s*=\s*([\w.]+)", line))
    return pairs


def definitions(tree: ast.Module) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Return the top-level statements that are safe to run, and the others."""
    run: list[ast.stmt] = []
    left: list[ast.stmt] = []
    for statement in tree.body:
        (run if _is_definition(statement) else left).append(statement)
    return run, left


def _is_definition(statement: ast.stmt) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef() | ast.Pass():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(value=value) | ast.AnnAssign(value=value) | ast.AugAssign(value=value):
            return value is None or _is_harmless(value)
        case ast.If(test=test, body=body, orelse=orelse):
            return _is_harmless(test) and all(map(_is_definition, [*body, *orelse]))
        case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
            inner = [*body, *orelse, *final, *(line for handler in handlers for line in handler.body)]
            return all(map(_is_definition, inner))
        case _:
            return False


def _is_harmless(expression: ast.expr) -> bool:
    if isinstance(expression, ast.Lambda):
        return True
    loops = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Await, ast.Yield, ast.YieldFrom)
    for node in ast.walk(expression):
        if isinstance(node, loops):
            return False
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name not in HARMLESS_CALLS:
                return False
    return True


def function_names(tree: ast.Module) -> dict[str, int]:
    """Return the line of each function in the file by its name; methods are named ``Class.method``."""
    names: dict[str, int] = {}
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ClassDef):
            for member in statement.body:
                if isinstance(member, ast.FunctionDef):
                    names[f"{statement.name}.{member.name}"] = member.lineno
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            names[statement.name] = statement.lineno
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda):
            names |= {
                target.id: statement.lineno for target in statement.targets if isinstance(target, ast.Name)
            }
    return names


def names_in(tree: ast.Module, function: str) -> set[str]:
    """Return all names and attributes used in a function, or in a method ``Class.method``."""
    *owner, name = function.split(".")
    scope = next((s for s in tree.body if owner and isinstance(s, ast.ClassDef) and s.name == owner[0]), tree)
    for node in ast.walk(scope):
        lambdas = isinstance(node, ast.Assign) and any(getattr(t, "id", "") == name for t in node.targets)
        if lambdas or (isinstance(node, ast.FunctionDef) and node.name == name):
            return {getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(node)}
    return set()


def to_be_done(tree: ast.Module, function: str) -> str | None:
    """Return what is still to be done if the body of a function, or of ``Class.method``, is only a template.

    >>> to_be_done(ast.parse("def f(x): raise NotImplementedError('f: your turn')"), "f")
    'f: your turn'
    >>> to_be_done(ast.parse("def f(x): return 2 * x"), "f") is None
    True
    """
    *owner, name = function.split(".")
    scope = next((s for s in tree.body if owner and isinstance(s, ast.ClassDef) and s.name == owner[0]), tree)
    found = [s for s in scope.body if isinstance(s, ast.FunctionDef) and s.name == name]
    task, empty = "it is still the template of an exercise: write its body", set()
    for statement in found[-1].body if found else [None]:
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                pass
            case ast.Assign(targets=[ast.Name(id=assigned)], value=ast.Constant(value=None | EllipsisType())):
                empty.add(assigned)
            case ast.Return(value=ast.Name(id=returned)) if returned in empty:
                pass
            case ast.Return(value=None | ast.Constant(value=None | EllipsisType())):
                pass
            case ast.Raise(exc=ast.Name(id="NotImplementedError")):
                pass
            case ast.Raise(exc=ast.Call(func=ast.Name(id="NotImplementedError"), args=args)):
                said = [str(arg.value) for arg in args if isinstance(arg, ast.Constant)]
                task = " ".join(said) or task
            case _:
                return None
    return task


def arity(tree: ast.Module) -> dict[str, int]:
    """Return the number of required arguments of each function, without ``self``."""
    needs: dict[str, int] = {}

    def add(name: str, function: ast.FunctionDef | ast.Lambda, is_method: bool) -> None:
        needed = [*function.args.posonlyargs, *function.args.args]
        static = any(getattr(d, "id", "") == "staticmethod" for d in getattr(function, "decorator_list", []))
        needs[name] = len(needed) - len(function.args.defaults) - (is_method and not static)

    for statement in ast.walk(tree):
        if isinstance(statement, ast.ClassDef):
            for member in statement.body:
                if isinstance(member, ast.FunctionDef):
                    add(f"{statement.name}.{member.name}", member, True)
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            add(statement.name, statement, False)
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    add(target.id, statement.value, False)
    return needs


def decoder_output(tree: ast.Module) -> str | None:
    """Return whether the file's decoder gives logits or probabilities; None if that is unclear or there is none.

    >>> decoder_output(ast.parse("def decoder(z): return torch.sigmoid(net(z))"))
    'probabilities'
    """
    decoders: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and re.fullmatch(
            r"(?i)decode|decoder|p|generator|p_x_given_z", node.name
        ):
            decoders.append(node)
        if isinstance(node, ast.ClassDef) and "decoder" in node.name.lower():
            decoders.append(node)
    if not decoders:
        return None
    returns = [n.value for d in decoders for n in ast.walk(d) if isinstance(n, ast.Return)]
    if any(isinstance(value, ast.Tuple) for value in returns):
        return None
    text = " ".join(ast.unparse(decoder) for decoder in decoders)
    if "igmoid" in text:
        return "probabilities"
    everything = ast.unparse(tree)
    layers = re.search(r"Linear|Conv|Sequential", everything) is not None
    elsewhere = "igmoid" in everything.replace("logsigmoid", "")
    squashed = re.search(r"tanh|softmax|clamp|clip|exp\(", text) is not None
    return "logits" if "logit" in text or (layers and not elsewhere and not squashed) else None
