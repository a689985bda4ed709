"""In one and two dimensions each line of the derivation equals the next for *all* Gaussians, by sympy.

The covariances are S = L L' with symbols in L, positive on its diagonal: every positive definite matrix is
of this form.
"""

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sympy
from numpy.typing import NDArray

from vaekit.classroom.derivation import DERIVATION, SPECIAL_CASES, Step
from vaekit.classroom.derivation_formulas import Arithmetic


def cholesky(S: NDArray) -> NDArray:
    """The factor of a 1 x 1 or 2 x 2 matrix, by the definition."""
    L = np.full(S.shape, sympy.Integer(0), dtype=object)
    L[0, 0] = sympy.sqrt(S[0, 0])
    if len(S) == 2:
        L[1, 0] = sympy.cancel(S[1, 0] / L[0, 0])
        L[1, 1] = sympy.sqrt(sympy.expand(S[1, 1] - L[1, 0] ** 2))
    return L


def inverse(S: NDArray) -> NDArray:
    return np.array(sympy.Matrix(S).inv().applyfunc(sympy.cancel).tolist(), dtype=object)


SYMBOLS = Arithmetic(
    cholesky, inverse, lambda n: sympy.sqrt(sympy.sympify(n)), sympy.log, lambda t: sympy.log(1 + t), sympy.pi
)


@cache
def gaussian(name: str, k: int) -> tuple[NDArray, NDArray]:
    mean = np.array(sympy.symbols(f"m_{name}:{k}", real=True), dtype=object)
    L = np.full((k, k), sympy.Integer(0), dtype=object)
    for i in range(k):
        L[i, i] = sympy.Symbol(f"l_{name}{i}{i}", positive=True)
        for j in range(i):
            L[i, j] = sympy.Symbol(f"l_{name}{i}{j}", real=True)
    return mean, L @ L.T


def is_zero(expression: Any) -> bool:
    """Is it zero for all values? Logarithms are split into those of single symbols; the rest is rational."""
    split = sympy.sympify(expression).replace(sympy.log, lambda argument: sympy.log(sympy.factor(argument)))
    split = sympy.expand_log(split, force=True)
    logarithms = {atom: sympy.Dummy() for atom in split.atoms(sympy.log)}
    numerator, _ = sympy.fraction(sympy.together(split.xreplace(logarithms)))
    return sympy.expand(numerator) == 0


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize(("before", "after"), list(pairwise(DERIVATION)), ids=lambda step: step.key)
def test_each_line_equals_the_one_before(k: int, before: Step, after: Step) -> None:
    numbers = (*gaussian("p", k), *gaussian("q", k))
    assert is_zero(after.value(*numbers, SYMBOLS) - before.value(*numbers, SYMBOLS))


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("case", SPECIAL_CASES, ids=lambda case: case.key)
def test_each_special_case_equals_the_closed_form(k: int, case: Step) -> None:
    m_p, S_p = gaussian("p", k)
    m_q, S_q = gaussian("q", k)
    if case.key in ("diagonal", "vae-term"):
        S_p, S_q = (np.diag(np.diag(S)) for S in (S_p, S_q))
        lower = {sympy.Symbol(f"l_{name}10", real=True): 0 for name in "pq"}
        S_p, S_q = (np.array(sympy.Matrix(S).subs(lower).tolist(), dtype=object) for S in (S_p, S_q))
    if case.key in ("standard-normal", "vae-term"):
        m_q, S_q = m_q * 0, np.array(sympy.eye(k).tolist(), dtype=object)
    closed = next(step for step in DERIVATION if step.key == "closed-form")
    numbers = (m_p, S_p, m_q, S_q)
    assert is_zero(case.value(*numbers, SYMBOLS) - closed.value(*numbers, SYMBOLS))


def test_the_proof_can_fail() -> None:
    numbers = (*gaussian("p", 2), *gaussian("q", 2))
    backwards = (*gaussian("q", 2), *gaussian("p", 2))
    closed = DERIVATION[-2]
    assert not is_zero(closed.value(*numbers, SYMBOLS) - closed.value(*backwards, SYMBOLS))
    assert not is_zero(
        closed.value(*numbers, SYMBOLS) - DERIVATION[0].value(*numbers, SYMBOLS) - sympy.Rational(1, 2)
    )
