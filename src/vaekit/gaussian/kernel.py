r"""The divergence of many small pairs and its gradients, in loops that numba compiles.

The quantities are those of `dense`: lower triangular `X` with `I + X = L_q^{-1} L_p`, and `z`. With `W =
L_q^{-1}`, `V = (I + X)^{-1} X W`, `P = W - V` and the lower triangular `N` with `N + N^T = X + X^T + X X^T +
z z^T` the gradients are
$$ \frac{\partial}{\partial S_p} = \tfrac12 \left( W^\top V + V^\top P \right), \qquad
   \frac{\partial}{\partial S_q} = -\tfrac12 \left( W^\top (N W) + (N W)^\top W \right), $$
and `± W^T z` by the means. All matrices are triangular, and nothing cancels for close pairs.

Items are done in chunks. A work matrix is `(row, column, item)`: what is a number in the textbook's algorithm
is here a row of numbers, one for each item of the chunk, and the innermost loops run along these rows.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vaekit.gaussian.stable import LEAST_VARIANCE, MOST_VARIANCE, SERIES_COEFFICIENTS, SERIES_RADIUS

__all__ = ["divergences", "factors"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Limits = tuple[float, float, float, float, float]

#: The most items that are done together: their work matrices stay in the cache.
CHUNK = 64
#: A product of ratios in here stays a number when one more is multiplied to it.
SMALL, LARGE = 1e-20, 1e20
COEFFICIENTS = SERIES_COEFFICIENTS[::-1]

# Contraction to fused multiply-add is the one liberty that the compiler is given: nothing is reordered.
compiled: Any = njit(fastmath={"contract"}, error_model="numpy", cache=True)


@compiled
def add_product(target: Floats, a: Floats, b: Floats) -> None:
    """Add `a b`."""
    for i in range(target.size):
        target[i] += a[i] * b[i]


@compiled
def subtract_product(target: Floats, a: Floats, b: Floats) -> None:
    """Subtract `a b`."""
    for i in range(target.size):
        target[i] -= a[i] * b[i]


@compiled
def multiply(target: Floats, a: Floats) -> None:
    """Multiply by `a`."""
    for i in range(target.size):
        target[i] *= a[i]


@compiled
def sum_of_log_excesses(X: Floats, ratio: Floats, item: int) -> float:
    """Return `sum_i t_i - log(1 + t_i)` over the diagonal of `X`, with one logarithm for most terms together."""
    total, product = 0.0, 1.0
    for i in range(ratio.shape[0]):
        t = X[i, i, item]
        r = t / (2.0 + t)
        s = r * r
        if abs(r) < SERIES_RADIUS:
            series = 0.0
            for c in COEFFICIENTS:
                series = series * s + c
            total += r * (t - 2.0 * s * series)
        else:
            total += t
            product *= ratio[i, item]
            if not SMALL < product < LARGE:
                total -= math.log(product)
                product = 1.0
    return total - math.log(product)


@compiled
def read_symmetric(given: Floats, start: int, S: Floats, tolerance: float, marks: Flags) -> None:
    """Take the symmetric parts of a chunk of matrices in, and mark those that are asymmetric or out of range."""
    k, _, count = S.shape
    for item in range(count):
        matrix = given[start + item]
        for i in range(k):
            S[i, i, item] = matrix[i, i]
            marks[item] |= not (LEAST_VARIANCE < matrix[i, i] < MOST_VARIANCE)
            for j in range(i):
                a, b = matrix[i, j], matrix[j, i]
                S[i, j, item] = S[j, i, item] = 0.5 * a + 0.5 * b
                if a != b:
                    marks[item] |= not abs(a - b) <= tolerance * min(matrix[i, i], matrix[j, j])


@compiled
def factor(S: Floats, L: Floats, inverse: Floats, loss: Floats) -> None:
    """Find Cholesky's `L`, the reciprocals of its diagonal, and the largest ratio of a variance to its pivot."""
    k = S.shape[0]
    for i in range(k):
        for j in range(i + 1):
            row = L[i, j]
            row[:] = S[i, j]
            for t in range(j):
                subtract_product(row, L[i, t], L[j, t])
            if j < i:
                multiply(row, inverse[j])
        for item in range(loss.size):
            pivot = L[i, i, item]
            loss[item] = max(loss[item], S[i, i, item] / pivot)
            L[i, i, item] = math.sqrt(pivot)
            inverse[i, item] = 1.0 / L[i, i, item]


@compiled
def solve(L: Floats, inverse: Floats, right: Floats, first: bool, target: Floats) -> None:
    """Solve `L T = R` for columns whose entries above row ``first + column`` are 0."""
    k, columns = target.shape[0], target.shape[1]
    for j in range(columns):
        top = j if first else 0
        for i in range(top, k):
            row = target[i, j]
            row[:] = right[i, j]
            for t in range(top, i):
                subtract_product(row, L[i, t], target[t, j])
            multiply(row, inverse[i])


@compiled
def excess_of_nearby(
    S_p: Floats,
    S_q: Floats,
    L: Floats,
    inverse: Floats,
    half: Floats,
    D: Floats,
    X: Floats,
    ratio: Floats,
    near: Flags,
) -> None:
    r"""Replace `X` and the diagonal of `I + X` of near items by those from the difference of the covariances.

    With `D = L^{-1} (S_p - S_q) L^{-T}`, `I + D` is factored as `C diag(1 + e) C^T` without adding the 1:
    `c_{ij} = D_{ij} - \sum_{t<j} c_{it} c_{jt} / (1 + e_t)`, `e_j` is the same for `i = j`, `X_{jj} = \sqrt{1
    + e_j} - 1` and `X_{ij} = c_{ij} / \sqrt{1 + e_j}`.
    """
    k, count = ratio.shape
    for i in range(k):
        for j in range(k):
            for item in range(count):
                D[i, j, item] = S_p[i, j, item] - S_q[i, j, item]
    solve(L, inverse, D, False, half)
    for i in range(k):
        for j in range(i):
            for item in range(count):
                half[i, j, item], half[j, i, item] = half[j, i, item], half[i, j, item]
    solve(L, inverse, half, False, D)
    # From here on the upper triangle of D holds c, transposed and divided by 1 + e.
    for j in range(k):
        for i in range(j, k):
            for t in range(j):
                subtract_product(D[i, j], D[i, t], D[t, j])
        for item in range(count):
            e = D[j, j, item]
            root = math.sqrt(1.0 + e)
            if near[item]:
                ratio[j, item] = root
                X[j, j, item] = e / (1.0 + root)
            for i in range(j + 1, k):
                D[j, i, item] = D[i, j, item] / (1.0 + e)
                if near[item]:
                    X[i, j, item] = D[i, j, item] / root


@compiled
def gradients_of(
    X: Floats,
    z: Floats,
    ratio: Floats,
    W: Floats,
    V: Floats,
    P: Floats,
    N: Floats,
    B: Floats,
    row: Floats,
    start: int,
    by_mean_p: Floats,
    by_mean_q: Floats,
    by_p: Floats,
    by_q: Floats,
) -> None:
    """Write the gradients of a chunk by both means and both covariances."""
    k, count = ratio.shape
    for i in range(k):
        for j in range(i + 1):
            N[i, j] = X[i, j]
            for t in range(j + 1):
                add_product(N[i, j], X[i, t], X[j, t])
            add_product(N[i, j], z[i], z[j])
        for item in range(count):
            N[i, i, item] = 0.5 * (N[i, i, item] + X[i, i, item])
        for j in range(i + 1):
            V[i, j] = X[i, i] * W[i, j]
            B[i, j] = 0.0
            for t in range(j, i):
                add_product(V[i, j], X[i, t], P[t, j])
            for t in range(j, i + 1):
                add_product(B[i, j], N[i, t], W[t, j])
            for item in range(count):
                V[i, j, item] /= ratio[i, item]
                P[i, j, item] = W[i, j, item] - V[i, j, item]
    for i in range(k):
        row[:] = 0.0
        for t in range(i, k):
            add_product(row, W[t, i], z[t])
        for item in range(count):
            by_mean_p[start + item, i] = row[item]
            by_mean_q[start + item, i] = -row[item]
        for j in range(i + 1):
            row[:] = 0.0
            for t in range(i, k):
                add_product(row, W[t, i], V[t, j])
                add_product(row, V[t, i], P[t, j])
            for item in range(count):
                by_p[start + item, i, j] = by_p[start + item, j, i] = 0.5 * row[item]
            row[:] = 0.0
            for t in range(i, k):
                add_product(row, W[t, i], B[t, j])
                add_product(row, B[t, i], W[t, j])
            for item in range(count):
                by_q[start + item, i, j] = by_q[start + item, j, i] = -0.5 * row[item]


@compiled
def divergences(
    mean_p: Floats,
    mean_q: Floats,
    S_p: Floats,
    S_q: Floats,
    limits: Limits,
    want: bool,
    value: Floats,
    marks: Flags,
    by_mean_p: Floats,
    by_mean_q: Floats,
    by_p: Floats,
    by_q: Floats,
) -> int:
    """Compute all items of a batch, and return how many were marked to be done in another way.

    ``limits`` holds the tolerated asymmetry, the squared size of `X` below which a pair is near, the
    tolerated loss of far and of close pairs, and the squared size below which a pair is close. Values, marks
    and, if wanted, gradients are written to the other arrays.
    """
    symmetry, near_squared, loss_far, loss_close, close_squared = limits
    n, k = mean_p.shape
    size = min(CHUNK, n)
    work = np.zeros((12, k, k, size))
    A, C, L_p, L, T, half = work[0], work[1], work[2], work[3], work[4], work[5]
    W, V, P, N, B, identity = work[6], work[7], work[8], work[9], work[10], work[11]
    rows = np.empty((4, k, size))
    inverse, inverse_p, z, ratio = rows[0], rows[1], rows[2], rows[3]
    loss, squares, row = np.empty(size), np.empty(size), np.empty(size)
    near, marked = np.empty(size, np.bool_), 0
    for i in range(k):
        identity[i, i] = 1.0
    for start in range(0, n, size):
        count = min(size, n - start)
        if count < size:
            # The last chunk is done again with items of the one before.
            start = n - size
        state = marks[start : start + size]
        state[:] = False
        read_symmetric(S_p, start, A, symmetry, state)
        read_symmetric(S_q, start, C, symmetry, state)
        loss[:] = 0.0
        factor(A, L_p, inverse_p, loss)
        factor(C, L, inverse, loss)
        solve(L, inverse, L_p, True, T)
        squares[:] = 0.0
        for i in range(k):
            for item in range(size):
                z[i, item] = mean_p[start + item, i] - mean_q[start + item, i]
            for t in range(i):
                subtract_product(z[i], L[i, t], z[t])
            multiply(z[i], inverse[i])
            for item in range(size):
                ratio[i, item] = T[i, i, item]
                T[i, i, item] -= 1.0
            for j in range(i + 1):
                add_product(squares, T[i, j], T[i, j])
        any_near = False
        for item in range(size):
            near[item] = squares[item] < near_squared
            any_near |= near[item]
        if any_near:
            excess_of_nearby(A, C, L, inverse, half, V, T, ratio, near)
            squares[:] = 0.0
            for i in range(k):
                for j in range(i + 1):
                    add_product(squares, T[i, j], T[i, j])
        for item in range(size):
            found = 0.5 * squares[item]
            for i in range(k):
                found += 0.5 * z[i, item] * z[i, item]
            found += sum_of_log_excesses(T, ratio, item)
            value[start + item] = found
            tolerated = loss_close if squares[item] < close_squared else loss_far
            state[item] |= not (loss[item] <= tolerated and math.isfinite(found))
        if want:
            solve(L, inverse, identity, True, W)
            gradients_of(T, z, ratio, W, V, P, N, B, row, start, by_mean_p, by_mean_q, by_p, by_q)
    for mark in marks:
        marked += mark
    return marked


@compiled
def factors(given: Floats, target: Floats) -> bool:
    """Write Cholesky's factors of all matrices; return whether each has one and is symmetric to the bit."""
    n, k, _ = given.shape
    size = min(CHUNK, n)
    S, L = np.empty((k, k, size)), np.empty((k, k, size))
    inverse, loss, marks = np.empty((k, size)), np.empty(size), np.zeros(size, np.bool_)
    for start in range(0, n, size):
        start = min(start, n - size)
        read_symmetric(given, start, S, 0.0, marks)
        factor(S, L, inverse, loss)
        for i in range(k):
            for item in range(size):
                marks[item] |= not L[i, i, item] > 0.0
                for j in range(i + 1):
                    target[start + item, i, j] = L[i, j, item]
    return not marks.any()
