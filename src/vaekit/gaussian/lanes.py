r"""Many small pairs at once: eight Gaussians side by side in the lanes of a vector register (needs numba).

The same quantities as in `dense`, but every arithmetic step is done for eight items of the batch together, so
that a 4 x 4 problem fills the machine as a large one does. Work matrices are `(row, column, lane)`, with rows
padded to a multiple of four: four columns of a result are computed side by side, so that what they share is
read once. Lower triangular matrices that are read by column (`T = I + X`, `W = L_q^{-1}`) are kept transposed:
every
inner product runs along rows. Close pairs take the LDL factorisation of `I + D` that never adds the 1: with
`c_{ij} = D_{ij} - \sum_{t<j} c_{it} c_{jt} / (1 + e_t)` and `e_j` the same for `i = j`,
`X_{jj} = \sqrt{1 + e_j} - 1` and `X_{ij} = c_{ij} / \sqrt{1 + e_j}`.

An item that is not handled here (asymmetric, not positive definite, ill-conditioned, not finite) is marked,
and the caller does it the general way.
"""

import math

from numba import literal_unroll, njit

from vaekit.gaussian.stable import SERIES_COEFFICIENTS, SERIES_RADIUS
from vaekit.gaussian.vector import (
    BYTES,
    WIDTH,
    fill,
    if_at_most,
    load,
    magnitude,
    multiply_add,
    number_at,
    put_number,
    square_root,
    store,
    transposed,
)

__all__ = [
    "BLOCK",
    "compiled",
    "dot",
    "dots",
    "excess_of_nearby",
    "factored",
    "inlined",
    "logarithm",
    "move_in",
    "move_out",
    "polynomial",
    "solved",
    "symmetrised",
    "value_of",
]

#: Columns that are computed side by side.
BLOCK = 4
COEFFICIENTS = SERIES_COEFFICIENTS[::-1]

# Contraction to fused multiply-add is the one liberty the compiler is given: nothing is reordered.
OPTIONS = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True, "cache": True}
compiled = njit(**OPTIONS)
inlined = njit(forceinline=True, **OPTIONS)


@inlined
def dot(a, b, start, stop):
    """`sum_t A[t] B[t]` of two rows."""
    even, odd = fill(0.0), fill(0.0)
    for t in range(start, stop - 1, 2):
        even = multiply_add(load(a + BYTES * t), load(b + BYTES * t), even)
        odd = multiply_add(load(a + BYTES * (t + 1)), load(b + BYTES * (t + 1)), odd)
    if (stop - start) % 2 == 1 and stop > start:
        even = multiply_add(load(a + BYTES * (stop - 1)), load(b + BYTES * (stop - 1)), even)
    return even + odd


@inlined
def dots(a, b, stride, start, stop):
    """`sum_t A[t] B_c[t]` of a row with four rows that are a stride apart."""
    s0, s1, s2, s3 = fill(0.0), fill(0.0), fill(0.0), fill(0.0)
    for t in range(start, stop):
        x, at = load(a + BYTES * t), b + BYTES * t
        s0 = multiply_add(x, load(at), s0)
        s1 = multiply_add(x, load(at + stride), s1)
        s2 = multiply_add(x, load(at + 2 * stride), s2)
        s3 = multiply_add(x, load(at + 3 * stride), s3)
    return s0, s1, s2, s3


@inlined
def move_in(source, step, start, last, numbers, target):
    """So many consecutive numbers of eight items, transposed to lanes."""
    if numbers < WIDTH:
        for lane in range(WIDTH):
            item = source + step * min(start + lane, last)
            for e in range(numbers):
                put_number(target + BYTES * e + 8 * lane, number_at(item + 8 * e))
        return
    a0, a1 = source + step * min(start, last), source + step * min(start + 1, last)
    a2, a3 = source + step * min(start + 2, last), source + step * min(start + 3, last)
    a4, a5 = source + step * min(start + 4, last), source + step * min(start + 5, last)
    a6, a7 = source + step * min(start + 6, last), source + step * min(start + 7, last)
    for first in range(0, numbers, WIDTH):
        # The last eight overlap with those before.
        e = min(first, numbers - WIDTH)
        o = 8 * e
        rows = (load(a0 + o), load(a1 + o), load(a2 + o), load(a3 + o))
        more = (load(a4 + o), load(a5 + o), load(a6 + o), load(a7 + o))
        c0, c1, c2, c3, c4, c5, c6, c7 = transposed(rows + more)  # pyright: ignore[reportCallIssue]
        to = target + BYTES * e
        store(to, c0)
        store(to + BYTES, c1)
        store(to + 2 * BYTES, c2)
        store(to + 3 * BYTES, c3)
        store(to + 4 * BYTES, c4)
        store(to + 5 * BYTES, c5)
        store(to + 6 * BYTES, c6)
        store(to + 7 * BYTES, c7)


@inlined
def move_out(source, target, step, start, count, numbers):
    """The way back, for so many of the eight items."""
    first_whole = numbers if count < WIDTH or numbers < WIDTH else 0
    for lane in range(count if first_whole else 0):
        item = target + step * (start + lane)
        for e in range(numbers):
            put_number(item + 8 * e, number_at(source + BYTES * e + 8 * lane))
    for first in range(first_whole, numbers, WIDTH):
        e = min(first, numbers - WIDTH)
        at = source + BYTES * e
        rows = (load(at), load(at + BYTES), load(at + 2 * BYTES), load(at + 3 * BYTES))
        more = (load(at + 4 * BYTES), load(at + 5 * BYTES), load(at + 6 * BYTES), load(at + 7 * BYTES))
        c0, c1, c2, c3, c4, c5, c6, c7 = transposed(rows + more)  # pyright: ignore[reportCallIssue]
        to = target + step * start + 8 * e
        store(to, c0)
        store(to + step, c1)
        store(to + 2 * step, c2)
        store(to + 3 * step, c3)
        store(to + 4 * step, c4)
        store(to + 5 * step, c5)
        store(to + 6 * step, c6)
        store(to + 7 * step, c7)


@inlined
def symmetrised(raw, tight, k, S, stride, tolerance, wrong):
    """Symmetric parts of matrices, and `wrong` with a 1 where one is not symmetric within the tolerance."""
    half, allowed, one = fill(0.5), fill(tolerance), fill(1.0)
    for i in range(k):
        own = load(raw + tight * i + BYTES * i)
        store(S + stride * i + BYTES * i, own)
        for j in range(i):
            a, b = load(raw + tight * i + BYTES * j), load(raw + tight * j + BYTES * i)
            mean = half * a + half * b
            store(S + stride * i + BYTES * j, mean)
            store(S + stride * j + BYTES * i, mean)
            other = load(raw + tight * j + BYTES * j)
            smaller = if_at_most(own, other, own, other)
            wrong = if_at_most(magnitude(a - b), allowed * smaller, wrong, one)
    return wrong


@inlined
def factored(S, L, stride, inverse, k, loss):
    """Cholesky's `L` and the reciprocals of its diagonal; the largest ratio of a variance to its pivot."""
    for i in range(k):
        row, given = L + stride * i, S + stride * i
        for j in range(0, i + 1, BLOCK):
            s0, s1, s2, s3 = dots(row, L + stride * j, stride, 0, j)
            store(row + BYTES * j, s0)
            store(row + BYTES * (j + 1), s1)
            store(row + BYTES * (j + 2), s2)
            store(row + BYTES * (j + 3), s3)
            for c in range(j, min(j + BLOCK, i + 1)):
                rest = load(given + BYTES * c) - load(row + BYTES * c)
                for t in range(j, c):
                    rest = rest - load(row + BYTES * t) * load(L + stride * c + BYTES * t)
                if c < i:
                    store(row + BYTES * c, rest * load(inverse + BYTES * c))
                else:
                    root = square_root(rest)
                    store(row + BYTES * c, root)
                    store(inverse + BYTES * c, fill(1.0) / root)
                    ratio = load(given + BYTES * c) / rest
                    loss = if_at_most(ratio, loss, loss, ratio)
                    for t in range(c + 1, j + BLOCK):
                        store(row + BYTES * t, fill(0.0))
    return loss


@inlined
def solved(L, stride, inverse, k, right, XT):
    """`L^-1 R` of lower triangular matrices, transposed; `R` by its rows, with zeros above the diagonal."""
    for i in range(k):
        scale = load(inverse + BYTES * i)
        for j in range(0, i + 1, BLOCK):
            s0, s1, s2, s3 = dots(L + stride * i, XT + stride * j, stride, j, i)
            given, to = right + stride * i + BYTES * j, XT + stride * j + BYTES * i
            store(to, (load(given) - s0) * scale)
            store(to + stride, (load(given + BYTES) - s1) * scale)
            store(to + 2 * stride, (load(given + 2 * BYTES) - s2) * scale)
            store(to + 3 * stride, (load(given + 3 * BYTES) - s3) * scale)


@inlined
def excess_of_nearby(S_p, S_q, L, stride, inverse, k, A, B, X, ratio, near):
    """`X` and the diagonal of `I + X` from the difference of the covariances, where ``near`` is at most 0."""
    zero, one = fill(0.0), fill(1.0)
    # The rows of A become those of (L^-1 (S_p - S_q))^T, the rows of B those of D = L^-1 (S_p - S_q) L^-T.
    for i in range(k):
        scale = load(inverse + BYTES * i)
        for j in range(0, k, BLOCK):
            s0, s1, s2, s3 = dots(L + stride * i, A + stride * j, stride, 0, i)
            at, to = stride * i + BYTES * j, A + stride * j + BYTES * i
            store(to, (load(S_p + at) - load(S_q + at) - s0) * scale)
            at += BYTES
            store(to + stride, (load(S_p + at) - load(S_q + at) - s1) * scale)
            at += BYTES
            store(to + 2 * stride, (load(S_p + at) - load(S_q + at) - s2) * scale)
            at += BYTES
            store(to + 3 * stride, (load(S_p + at) - load(S_q + at) - s3) * scale)
    for i in range(k):
        scale = load(inverse + BYTES * i)
        for j in range(0, k, BLOCK):
            s0, s1, s2, s3 = dots(L + stride * i, B + stride * j, stride, 0, i)
            given, to = A + stride * i + BYTES * j, B + stride * j + BYTES * i
            store(to, (load(given) - s0) * scale)
            store(to + stride, (load(given + BYTES) - s1) * scale)
            store(to + 2 * stride, (load(given + 2 * BYTES) - s2) * scale)
            store(to + 3 * stride, (load(given + 3 * BYTES) - s3) * scale)
    # B becomes c / (1 + e) below its diagonal, A becomes c.
    for j in range(k):
        e = load(B + stride * j + BYTES * j) - dot(A + stride * j, B + stride * j, 0, j)
        pivot = one + e
        root, reciprocal = square_root(pivot), one / pivot
        at = X + stride * j + BYTES * j
        store(at, if_at_most(near, zero, e / (one + root), load(at)))
        at = ratio + BYTES * j
        store(at, if_at_most(near, zero, root, load(at)))
        for i in range(j + 1, k):
            at = stride * i + BYTES * j
            c = load(B + at) - dot(A + stride * i, B + stride * j, 0, j)
            store(A + at, c)
            store(B + at, c * reciprocal)
            store(X + at, if_at_most(near, zero, c / root, load(X + at)))


@inlined
def polynomial(s):
    """The series of `stable` in `s = r^2`, of eight numbers."""
    total = fill(COEFFICIENTS[0])
    for c in literal_unroll(COEFFICIENTS[1:]):
        total = multiply_add(total, s, fill(c))
    return total


@inlined
def series(t):
    """`t - log(1 + t)` where `t` is small, and the modulus of `t / (2 + t)`, which says where that is."""
    r = t / (fill(2.0) + t)
    s = r * r
    return r * (t - (s + s) * polynomial(s)), magnitude(r)


@inlined
def value_of(X, stride, ratio, z, k, product):
    """`sum_i (t_i - log(1 + t_i)) + (|X|^2 + |z|^2) / 2` but for the logarithm of ``product``, left there."""
    one, radius = fill(1.0), fill(SERIES_RADIUS)
    total, ratios, squares = fill(0.0), fill(1.0), fill(0.0)
    for i in range(k):
        row = X + stride * i
        t, shift = load(row + BYTES * i), load(z + BYTES * i)
        small, size = series(t)
        total = total + if_at_most(size, radius, small, t)
        ratios = ratios * if_at_most(size, radius, one, load(ratio + BYTES * i))
        squares = squares + (dot(row, row, 0, i + 1) + shift * shift)
    store(product, ratios)
    return total + fill(0.5) * squares


@inlined
def logarithm(X, stride, ratio, k, product, lane):
    """The logarithm of the product of one lane's ratios, term by term if it left the range of the numbers."""
    whole = number_at(product + 8 * lane)
    if 1e-290 < whole < 1e290:
        return math.log(whole)
    total = 0.0
    for i in range(k):
        t = number_at(X + stride * i + BYTES * i + 8 * lane)
        if not abs(t / (2.0 + t)) <= SERIES_RADIUS:
            total += math.log(number_at(ratio + BYTES * i + 8 * lane))
    return total
