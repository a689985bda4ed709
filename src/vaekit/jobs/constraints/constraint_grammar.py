"""The grammar of constraints on rows: ``low <= high``, ``age >= 18 or status == 'child'``, ``a + b == total``.

It is a part of Python's expressions, read by Python's own parser; nothing else is let through, and nothing is run:

.. code-block:: text

    constraint   comparison | constraint and constraint | constraint or constraint | not constraint | (constraint)
    comparison   value < value, with <, <=, >, >=, ==, != and chains of them: 0 <= low <= high
                 value in ('a', 'b'), value not in (1, 2)
    value        a column, a number, a quoted text, or values joined by + - * / % and put in ( )

A column whose name is not a word of letters, digits and underscores stands between backticks:
```hours per week` <= 80``. A date is compared with another, or with a quoted text such as ``'2020-01-31'``; a
difference of dates is a number of days. A column of yes or no may stand alone.
"""

import ast
import keyword
import re
import warnings
from dataclasses import dataclass

from vaekit.data.messages import few
from vaekit.errors import UsageError
from vaekit.language.grammar import did_you_mean

__all__ = ["ParsedConstraint", "in_order", "parse_constraint", "refused"]

_SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`""")
_PLACE = "_column_{}_"
_DEEPEST = 200  # a text longer than this many parts is no constraint that anybody wrote


@dataclass(frozen=True)
class ParsedConstraint:
    """A text as a tree, with the columns that its names stand for.

    Parameters
    ----------
    text
        As it was written.
    tree
        A Python expression of the grammar above.
    names
        The columns that stood between backticks, by the names that they have in the tree.
    """

    text: str
    tree: ast.expr
    names: dict[str, str]

    @property
    def what(self) -> str:
        """The constraint in the words of a message."""
        return f"constraint {self.text!r}"

    def sign(self, operator: ast.AST) -> str:
        """Return an operator as it is written."""
        return _SIGNS[type(operator)]

    def name_of(self, identifier: str) -> str:
        """Return the column that a name of the tree stands for."""
        return self.names.get(identifier, identifier)


def parse_constraint(text: str, columns: list[str]) -> ParsedConstraint:
    """Return a constraint as a tree of the grammar.

    Raises
    ------
    UsageError
        For a text outside the grammar, and for a column that is not among ``columns``.

    Examples
    --------
    >>> parse_constraint("open('file') == 1", ["age"])
    Traceback (most recent call last):
    vaekit.errors.UsageError: constraint "open('file') == 1": "open('file')" is no part of a constraint; ...
    """
    names: dict[str, str] = {}

    def place(found: "re.Match[str]") -> str:
        quoted = found[0]
        if not quoted.startswith("`"):
            return quoted
        identifier = _PLACE.format(len(names))
        names[identifier] = quoted[1:-1]
        return f" {identifier} "

    what = f"constraint {text!r}"
    written = _QUOTED.sub(place, text).strip()
    if not written:
        raise UsageError(f"{what}: it is empty; write a comparison such as low <= high")
    if "`" in written:
        raise UsageError(f"{what}: a backtick is not closed; a column stands between two of them")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(written, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise UsageError(f"{what} cannot be read: {_advice(written, columns)}") from error
    if sum(1 for _ in ast.walk(tree)) > _DEEPEST:
        raise UsageError(f"{what[:60]}...: it is too long; give its parts as constraints of their own")
    parsed = ParsedConstraint(text, tree, names)
    _check(tree, parsed, wanted=True)
    for node in in_order(tree):
        if isinstance(node, ast.Name) and (name := parsed.name_of(node.id)) not in columns:
            raise UsageError(f"{what}: there is no column {name!r}{_near(name, columns)}")
    return parsed


def _advice(written: str, columns: list[str]) -> str:
    """Say what is probably wrong with a text that is no expression."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", written)
    if re.search(r"(?<![<>=!])=(?!=)", bare):
        return "equality is written =="
    if named := [name for name in columns if not _is_word(name) and name in written]:
        return f"write the column {max(named, key=len)!r} between backticks"
    return "write a comparison such as low <= high, age >= 18, a + b == total or status in ('open', 'closed')"


def _near(name: str, columns: list[str]) -> str:
    """Say which column is probably meant: one whose name begins so needs backticks."""
    longer = [column for column in columns if column.startswith(name) and not _is_word(column)]
    if longer:
        return f"; is `{longer[0]}` meant? Write it between backticks"
    if found := did_you_mean(name, columns):
        return found
    return f"; there are {few(columns)}. A text stands in quotes: '{name}'"


def _is_word(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def in_order(node: ast.AST) -> list[ast.AST]:
    """Return a node and those below it in the order of the text."""
    return [node, *(below for child in ast.iter_child_nodes(node) for below in in_order(child))]


def _check(node: ast.expr, parsed: ParsedConstraint, *, wanted: bool) -> None:
    """Refuse what the grammar does not have; ``wanted``: where a row must be told true from false."""
    match node:
        case ast.BoolOp(values=parts):
            for part in parts:
                _check(part, parsed, wanted=True)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            _check(inner, parsed, wanted=True)
        case ast.Compare(left=left, ops=operators, comparators=others) if wanted:
            _check(left, parsed, wanted=False)
            for operator, other in zip(operators, others, strict=True):
                if isinstance(operator, ast.In | ast.NotIn):
                    _check_list(other, parsed)
                elif type(operator) in _SIGNS:
                    _check(other, parsed, wanted=False)
                else:
                    raise refused(node, parsed)
        case ast.Name():
            pass
        case ast.Constant(value=bool() | int() | float() | str()) if not wanted:
            pass
        case ast.BinOp(left=left, op=operator, right=right) if not wanted and type(operator) in _SIGNS:
            _check(left, parsed, wanted=False)
            _check(right, parsed, wanted=False)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=inner) if not wanted:
            _check(inner, parsed, wanted=False)
        case _:
            raise refused(node, parsed)


def _check_list(node: ast.expr, parsed: ParsedConstraint) -> None:
    if not isinstance(node, ast.Tuple | ast.List) or not node.elts:
        raise UsageError(f"{parsed.what}: after 'in' stand values in brackets, such as ('a', 'b')")
    for item in node.elts:
        if any(isinstance(below, ast.Name) for below in ast.walk(item)):
            raise UsageError(f"{parsed.what}: after 'in' stand numbers or quoted texts, no columns")
        _check(item, parsed, wanted=False)


def refused(node: ast.expr, parsed: ParsedConstraint) -> UsageError:
    """Return the error that tells a part outside the grammar."""
    part = ast.unparse(node)
    for identifier, name in parsed.names.items():
        part = part.replace(identifier, f"`{name}`")
    return UsageError(
        f"{parsed.what}: {part!r} is no part of a constraint; it is made of comparisons (< <= > >= == != in) of "
        "columns, numbers, quoted texts and + - * / %, joined by and, or, not"
    )
