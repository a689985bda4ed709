"""What a file's syntax tells before anything runs: its functions, its decoder, and which statements to run.

Of a notebook, and of a .py file whose top level cannot be run, only these top-level statements are run:

* imports (one that fails is skipped);
* definitions of functions and classes;
* assignments of constants: the right-hand side calls nothing but what `HARMLESS_CALLS` lists;
* ``if`` and ``try`` statements made of nothing else.
"""

import ast
import re

__all__ = ["HARMLESS_CALLS", "arity", "decoder_output", "definitions", "function_names", "names_in"]

_CALLS = """
    int float str bool len range tuple list dict set min max abs sum round device cuda.is_available
    is_available tensor as_tensor array asarray zeros ones eye arange linspace full sqrt log exp pi normal
    Normal default_rng Generator manual_seed Path
"""
HARMLESS_CALLS = frozenset(_CALLS.split())


def definitions(tree: ast.Module) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Split the top level into what the rule runs and what it does not."""
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
    """Give every function of the file, methods as ``Class.method``, with its line."""
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
    """Give all names and attributes that a function, or a method ``Class.method``, mentions."""
    *owner, name = function.split(".")
    scope = next((s for s in tree.body if owner and isinstance(s, ast.ClassDef) and s.name == owner[0]), tree)
    for node in ast.walk(scope):
        lambdas = isinstance(node, ast.Assign) and any(getattr(t, "id", "") == name for t in node.targets)
        if lambdas or (isinstance(node, ast.FunctionDef) and node.name == name):
            return {getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(node)}
    return set()


def arity(tree: ast.Module) -> dict[str, int]:
    """Give the number of arguments that each function needs, ``self`` left out."""
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
    """Read whether the file's decoder gives logits or probabilities; None if both, or if there is none.

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
