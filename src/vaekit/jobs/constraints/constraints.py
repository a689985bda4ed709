"""Constraints on the rows of a table, which the data are checked for and every synthetic row meets.

A comparison with a missing cell is neither true nor false, and a row breaks a constraint only where it is false for
certain, like CHECK in SQL: a constraint does not apply to a row in which what it hangs on is missing.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from vaekit.data.messages import few, plural
from vaekit.errors import DataError, UsageError
from vaekit.jobs.constraints.constraint_grammar import ParsedConstraint, in_order, parse_constraint, refused
from vaekit.jobs.constraints.constraint_values import (
    Truth,
    Values,
    arithmetic,
    column_values,
    compared,
    constant,
)

if TYPE_CHECKING:
    import pandas

__all__ = ["BrokenConstraint", "Constraint", "check_constraints"]

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Constraint:
    """A condition that every row of a table meets.

    Parameters
    ----------
    text
        The constraint as it was written.
    columns
        The columns that it names, each once, in the order of the text.
    expression
        The parsed text.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"low": [1, 5, None], "high": [2, 4, 1], "room size": [9, 9, 0]})
    >>> constraint = Constraint.parse("low <= high and `room size` > 0", frame.columns)
    >>> constraint.columns
    ('low', 'high', 'room size')
    >>> constraint.holds(frame).tolist()  # the last row: whatever low is, the room is too small
    [True, False, False]
    """

    text: str
    columns: tuple[str, ...]
    expression: "ParsedConstraint"

    @classmethod
    def parse(cls, text: str, columns: Sequence[str]) -> "Constraint":
        """Read a constraint.

        Parameters
        ----------
        text
            As :mod:`vaekit.jobs.constraints.constraint_grammar` tells.
        columns
            The names of the columns of the table.

        Raises
        ------
        UsageError
            For a text that is no constraint, or that names a column which is not there.

        Examples
        --------
        >>> Constraint.parse("agee >= 18", ["age", "income"])
        Traceback (most recent call last):
        vaekit.errors.UsageError: constraint 'agee >= 18': there is no column 'agee'; did you mean 'age'?
        """
        parsed = parse_constraint(text, [str(name) for name in columns])
        used = dict.fromkeys(
            parsed.name_of(node.id) for node in in_order(parsed.tree) if isinstance(node, ast.Name)
        )
        if not used:
            raise UsageError(f"{parsed.what}: it names no column, so that it says nothing about a row")
        return cls(text, tuple(used), parsed)

    def __str__(self) -> str:
        return self.text

    def holds(self, frame: "pandas.DataFrame") -> Bools:
        """Return for each row whether it meets the constraint, or the constraint does not apply to it.

        Parameters
        ----------
        frame
            A table with the columns that the constraint names.

        Returns
        -------
        ndarray
            ``(n,)`` of bool: false only where the constraint is broken for certain.

        Raises
        ------
        DataError
            Where values cannot be compared: text and a number, or text that is no date by ``<``.
        """
        return ~self.truth(frame).false

    def orders(self) -> list[tuple[str, str]]:
        """Return the pairs of columns of which the constraint says that the first is at most the second.

        >>> Constraint.parse("0 < a < b and d >= c", ["a", "b", "c", "d"]).orders()
        [('a', 'b'), ('c', 'd')]
        >>> Constraint.parse("a <= b or c == 1", ["a", "b", "c"]).orders()
        []
        """
        found: list[tuple[str, str]] = []
        parts: list[ast.expr] = [self.expression.tree]
        while parts:
            part = parts.pop(0)
            if isinstance(part, ast.BoolOp) and isinstance(part.op, ast.And):
                parts = [*part.values, *parts]
            elif isinstance(part, ast.Compare):
                sides = [part.left, *part.comparators]
                for left, operator, right in zip(sides, part.ops, sides[1:], strict=False):
                    if isinstance(left, ast.Name) and isinstance(right, ast.Name):
                        pair = self.expression.name_of(left.id), self.expression.name_of(right.id)
                        if isinstance(operator, ast.Lt | ast.LtE):
                            found.append(pair)
                        elif isinstance(operator, ast.Gt | ast.GtE):
                            found.append((pair[1], pair[0]))
        return found

    def truth(self, frame: "pandas.DataFrame") -> Truth:
        """Return for each row whether the constraint is true, and whether it is false; a missing cell leaves it open.

        Raises
        ------
        DataError
            As :meth:`holds`.
        """
        if missing := [name for name in self.columns if name not in frame.columns]:
            raise DataError(f"{self.expression.what}: the table has no column {few(missing)}")
        return _truth(self.expression.tree, self.expression, frame)


@dataclass(frozen=True)
class BrokenConstraint:
    """A constraint that rows of a table break.

    Parameters
    ----------
    constraint
        The constraint.
    rows
        The number of rows that break it.
    applies
        The number of rows it applies to: those in which it does not hang on a missing cell.
    first
        The position of the first row that breaks it, from 0.
    values
        The values of the constraint's columns there.
    """

    constraint: Constraint
    rows: int
    applies: int
    first: int
    values: dict[str, object]

    def __str__(self) -> str:
        """Return it in words.

        >>> import pandas as pd
        >>> frame = pd.DataFrame({"low": [1, 5], "high": [2, 4]})
        >>> print(check_constraints([Constraint.parse("low < high", frame.columns)], frame)[0])
        constraint 'low < high': 1 of 2 rows breaks it, the first is row 1, counted from 0 (low=5, high=4)
        """
        told = ", ".join(f"{name}={value}" for name, value in self.values.items())
        return (
            f"constraint {self.constraint.text!r}: {self.rows:,} of {plural(self.applies, 'row')} "
            f"break{'s' * (self.rows == 1)} it, the first is row {self.first:,}, counted from 0 ({told})"
        )


def check_constraints(constraints: Sequence[Constraint], frame: "pandas.DataFrame") -> list[BrokenConstraint]:
    """Return the constraints that a table breaks, and refuse those that no row of it meets together.

    Rows show a contradiction as far as they go: constraints that some row meets do not contradict each other, and those
    that no row meets, alone or two together, cannot be learned from the table even where a row is conceivable.

    Parameters
    ----------
    constraints
        The constraints.
    frame
        The table.

    Raises
    ------
    DataError
        For a constraint that no row meets, for two or for all that none meets together, and where values cannot be
        compared.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [17, 25, 40]})
    >>> both = [Constraint.parse(text, frame.columns) for text in ("age > 30", "age < 20")]
    >>> check_constraints(both, frame)
    Traceback (most recent call last):
    vaekit.errors.DataError: constraints 'age > 30' and 'age < 20' contradict each other: none of 3 rows meets both
    """
    truths = [constraint.truth(frame) for constraint in constraints]
    for constraint, truth in zip(constraints, truths, strict=True):
        if truth.false.any() and not truth.true.any():
            told = _broken(constraint, truth, frame)
            raise DataError(f"{told}; no row meets it, so that there is nothing to learn from")
    for j, (second, b) in enumerate(zip(constraints, truths, strict=True)):
        for first, a in zip(constraints[:j], truths[:j], strict=True):
            if _excluded([a, b]):
                rows = int((a.true | a.false).astype(int) @ (b.true | b.false).astype(int))
                raise DataError(
                    f"constraints {first.text!r} and {second.text!r} contradict each other: none of "
                    f"{plural(rows, 'row')} meets both"
                )
    if constraints and _excluded(truths):
        texts = ", ".join(repr(constraint.text) for constraint in constraints)
        raise DataError(
            f"constraints {texts} contradict each other: none of {plural(len(frame), 'row')} meets all"
        )
    return [
        _broken(constraint, truth, frame)
        for constraint, truth in zip(constraints, truths, strict=True)
        if truth.false.any()
    ]


def _excluded(truths: Sequence[Truth]) -> bool:
    """Return whether rows break some constraint wherever all apply, and there are such rows."""
    applies = np.logical_and.reduce([truth.true | truth.false for truth in truths])
    met = np.logical_and.reduce([truth.true for truth in truths])
    return bool(applies.any() and not met.any())


def _broken(constraint: Constraint, truth: Truth, frame: "pandas.DataFrame") -> BrokenConstraint:
    first = int(truth.false.argmax())
    values = {name: frame[name].iloc[first] for name in constraint.columns}
    applies = int((truth.true | truth.false).sum())
    return BrokenConstraint(constraint, int(truth.false.sum()), applies, first, values)


def _truth(node: ast.expr, parsed: ParsedConstraint, frame: "pandas.DataFrame") -> Truth:
    """Return the truth of a checked expression: Kleene's logic, in which a missing cell is neither true nor false."""
    match node:
        case ast.BoolOp(op=operator, values=parts):
            found = [_truth(part, parsed, frame) for part in parts]
            return Truth.both(found) if isinstance(operator, ast.And) else Truth.either(found)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return _truth(inner, parsed, frame).negated()
        case ast.Compare(left=left, ops=operators, comparators=others):
            terms, steps = _values(left, parsed, frame), list[Truth]()
            for operator, other in zip(operators, others, strict=True):
                if isinstance(operator, ast.In | ast.NotIn) and isinstance(other, ast.Tuple | ast.List):
                    listed = [_values(item, parsed, frame) for item in other.elts]
                    found = Truth.either([compared(terms, "==", item, parsed.what) for item in listed])
                    steps.append(found if isinstance(operator, ast.In) else found.negated())
                    continue
                next_terms = _values(other, parsed, frame)
                steps.append(compared(terms, parsed.sign(operator), next_terms, parsed.what))
                terms = next_terms
            return Truth.both(steps)
        case _:
            found = _values(node, parsed, frame)
            if found.kind != "yes or no" and not found.missing.all():
                raise DataError(f"{parsed.what}: {found.said} is not yes or no; compare it with something")
            return compared(found, "==", constant(True, len(frame)), parsed.what)


def _values(node: ast.expr, parsed: ParsedConstraint, frame: "pandas.DataFrame") -> Values:
    """Return the values of a checked operand, one a row."""
    match node:
        case ast.Name(id=identifier):
            name = parsed.name_of(identifier)
            return column_values(cast("pandas.Series", frame[name]), name)
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return constant(value, len(frame))
        case ast.BinOp(left=left, op=operator, right=right):
            terms = _values(left, parsed, frame), _values(right, parsed, frame)
            return arithmetic(terms[0], parsed.sign(operator), terms[1], parsed.what)
        case ast.UnaryOp(op=operator, operand=inner):
            zero, terms = constant(0, len(frame)), _values(inner, parsed, frame)
            return arithmetic(zero, "-" if isinstance(operator, ast.USub) else "+", terms, parsed.what)
        case _:
            raise refused(node, parsed)
