r"""Value and gradients of a batch, block by block of eight items, from the pieces of `lanes` (needs numba).

With `W = L_q^{-1}`, `V = (I + X)^{-1} X W`, so that `W - V = L_p^{-1}`, and the lower triangular `N` with
`N + N^T = D + z z^T`, all matrices are triangular and there is no cancellation for close pairs:
$$ \frac{\partial}{\partial S_p} = \tfrac12 \left( W^\top V + V^\top (W - V) \right), \qquad
   \frac{\partial}{\partial S_q} = -\tfrac12 \left( W^\top (N W) + (N W)^\top W \right). $$
numba keeps the compiled kernels in a cache that notices changes of this file, not of `lanes` and `vector`: save
this file too after a change there.
"""

import math

import numpy as np

from vaekit.gaussian.lanes import (
    BLOCK,
    compiled,
    dot,
    dots,
    excess_of_nearby,
    factored,
    inlined,
    logarithm,
    move_in,
    move_out,
    solved,
    symmetrised,
    value_of,
)
from vaekit.gaussian.vector import (
    BYTES,
    WIDTH,
    fill,
    if_at_most,
    load,
    multiply_add,
    number_at,
    put_mark,
    put_number,
    store,
)

__all__ = ["UNROLLED", "run"]

#: Work matrices and rows.
MATRICES, ROWS = 12, 8
#: Matrices smaller than this are moved in one piece.
TIGHT = 16


@inlined
def matrix_in(source, step, start, last, k, target, stride):
    """Matrices of eight items, in one piece or row by row."""
    if stride == BYTES * k:
        move_in(source, step, start, last, k * k, target)
    else:
        for i in range(k):
            move_in(source + 8 * k * i, step, start, last, k, target + stride * i)


@inlined
def matrix_out(source, stride, target, start, count, k):
    """The way back."""
    if stride == BYTES * k:
        move_out(source, target, 8 * k * k, start, count, k * k)
    else:
        for i in range(k):
            move_out(source + stride * i, target + 8 * k * i, 8 * k * k, start, count, k)


@inlined
def excess_of(TT, stride, k, X, ratio):
    """`X = T - I` by rows, the diagonal of `T`, and `|X|^2`."""
    size, one = fill(0.0), fill(1.0)
    for i in range(k):
        own = load(TT + stride * i + BYTES * i)
        store(ratio + BYTES * i, own)
        store(X + stride * i + BYTES * i, own - one)
        size = multiply_add(own - one, own - one, size)
        for j in range(i):
            x = load(TT + stride * j + BYTES * i)
            store(X + stride * i + BYTES * j, x)
            size = multiply_add(x, x, size)
    return size


@inlined
def triangular_parts(X, stride, ratio, z, k, WT, VT, PT, N, BT):
    """`V`, `W - V` and `N W` by columns."""
    half = fill(0.5)
    for i in range(k):
        row, own = X + stride * i, load(X + stride * i + BYTES * i)
        scale, shift = fill(1.0) / load(ratio + BYTES * i), load(z + BYTES * i)
        out = N + stride * i
        for j in range(0, i + 1, BLOCK):
            s0, s1, s2, s3 = dots(row, X + stride * j, stride, 0, min(j + BLOCK, i + 1))
            at = BYTES * j
            store(out + at, load(row + at) + multiply_add(shift, load(z + at), s0))
            at += BYTES
            store(out + at, load(row + at) + multiply_add(shift, load(z + at), s1))
            at += BYTES
            store(out + at, load(row + at) + multiply_add(shift, load(z + at), s2))
            at += BYTES
            store(out + at, load(row + at) + multiply_add(shift, load(z + at), s3))
        # Half the diagonal of D + z z^T is X_ii + (|X_i|^2 + z_i^2) / 2.
        at = out + BYTES * i
        store(at, half * (load(at) + own))
        for j in range(0, i + 1, BLOCK):
            s0, s1, s2, s3 = dots(row, PT + stride * j, stride, j, i)
            at = stride * j + BYTES * i
            for c in range(BLOCK):
                s = s0 if c == 0 else (s1 if c == 1 else (s2 if c == 2 else s3))
                w = load(WT + at)
                v = multiply_add(own, w, s) * scale
                store(VT + at, v)
                store(PT + at, w - v)
                at += stride
            s0, s1, s2, s3 = dots(out, WT + stride * j, stride, j, i + 1)
            at = BT + stride * j + BYTES * i
            store(at, s0)
            store(at + stride, s1)
            store(at + 2 * stride, s2)
            store(at + 3 * stride, s3)


@inlined
def mirrored(target, stride, i, j, v):
    """An entry of a symmetric matrix."""
    store(target + stride * i + BYTES * j, v)
    store(target + stride * j + BYTES * i, v)


@inlined
def products(A, B, C, stride, i, j, k, scale, target, tight):
    """`scale sum_t (A[i, t] B[j, t] + B[i, t] C[j, t])` for four `j`, those up to `i` written and mirrored."""
    s0, s1, s2, s3 = fill(0.0), fill(0.0), fill(0.0), fill(0.0)
    row_a, row_b, b, c = A + stride * i, B + stride * i, B + stride * j, C + stride * j
    for t in range(BYTES * i, BYTES * k, BYTES):
        x, y = load(row_a + t), load(row_b + t)
        s0 = multiply_add(y, load(c + t), multiply_add(x, load(b + t), s0))
        s1 = multiply_add(y, load(c + stride + t), multiply_add(x, load(b + stride + t), s1))
        s2 = multiply_add(y, load(c + 2 * stride + t), multiply_add(x, load(b + 2 * stride + t), s2))
        s3 = multiply_add(y, load(c + 3 * stride + t), multiply_add(x, load(b + 3 * stride + t), s3))
    factor = fill(scale)
    mirrored(target, tight, i, j, factor * s0)
    if j + 1 <= i:
        mirrored(target, tight, i, j + 1, factor * s1)
    if j + 2 <= i:
        mirrored(target, tight, i, j + 2, factor * s2)
    if j + 3 <= i:
        mirrored(target, tight, i, j + 3, factor * s3)


@inlined
def divergences(places, first, stop, k, limits, outputs):
    """Items ``first`` to ``stop`` of a batch; how many of them were marked.

    ``places`` holds the addresses of both means and both covariances, then the steps in bytes from item to
    item; ``limits`` symmetry, near, loss if far, loss if close and close; ``outputs`` the addresses of
    values, marks, and gradients in the order of ``places`` (0 where these are not wanted).
    """
    mean_p, mean_q, S_p, S_q, mean_p_step, mean_q_step, S_p_step, S_q_step = places
    value, marked, by_mean_p, by_mean_q, by_p, by_q = outputs
    symmetry, near_squared, loss_far, loss_close, close_squared = limits
    padded = -(-k // BLOCK) * BLOCK
    # An odd number of lines between rows: columns would else share a few sets of the cache.
    stride = BYTES * (padded + 1)
    matrix = stride * padded
    tight = BYTES * k if k < TIGHT else stride
    room = np.zeros((MATRICES * padded + ROWS) * (padded + 1) * WIDTH + WIDTH)
    # Vectors that straddle two lines of the cache cost twice.
    base = -(-room.ctypes.data // BYTES) * BYTES
    A, B, L_p, L_q, TT = base, base + matrix, base + 2 * matrix, base + 3 * matrix, base + 4 * matrix
    X, WT, VT = base + 5 * matrix, base + 6 * matrix, base + 7 * matrix
    PT, N, BT, identity = base + 8 * matrix, base + 9 * matrix, base + 10 * matrix, base + 11 * matrix
    for i in range(k):
        store(identity + stride * i + BYTES * i, fill(1.0))
    rows = base + MATRICES * matrix
    inverse_p, inverse, ratio, z = rows, rows + stride, rows + 2 * stride, rows + 3 * stride
    mean, other = rows + 4 * stride, rows + 5 * stride
    lanes = rows + 6 * stride
    product, out = lanes, lanes + BYTES
    size_at, state_at = lanes + 2 * BYTES, lanes + 3 * BYTES
    count_marked = 0
    for start in range(first, stop, WIDTH):
        count, last = min(WIDTH, stop - start), stop - 1
        wrong, loss = fill(0.0), fill(0.0)
        matrix_in(S_p, S_p_step, start, last, k, N, tight)
        wrong = symmetrised(N, tight, k, A, stride, symmetry, wrong)
        matrix_in(S_q, S_q_step, start, last, k, N, tight)
        wrong = symmetrised(N, tight, k, B, stride, symmetry, wrong)
        loss = factored(A, L_p, stride, inverse_p, k, loss)
        loss = factored(B, L_q, stride, inverse, k, loss)
        move_in(mean_p, mean_p_step, start, last, k, mean)
        move_in(mean_q, mean_q_step, start, last, k, other)
        for i in range(k):
            shift = load(mean + BYTES * i) - load(other + BYTES * i) - dot(L_q + stride * i, z, 0, i)
            store(z + BYTES * i, shift * load(inverse + BYTES * i))
        solved(L_q, stride, inverse, k, L_p, TT)
        size = excess_of(TT, stride, k, X, ratio)
        store(size_at, size)
        any_near = False
        for lane in range(WIDTH):
            any_near = any_near or number_at(size_at + 8 * lane) < near_squared
        if any_near:
            excess_of_nearby(A, B, L_q, stride, inverse, k, N, BT, X, ratio, size - fill(near_squared))
        store(out, value_of(X, stride, ratio, z, k, product))
        store(state_at, if_at_most(wrong, fill(0.0), loss, fill(math.nan)))
        for lane in range(count):
            found = number_at(out + 8 * lane) - logarithm(X, stride, ratio, k, product, lane)
            close = number_at(size_at + 8 * lane) < close_squared
            good = number_at(state_at + 8 * lane) <= (loss_close if close else loss_far)
            good = good and math.isfinite(found)
            put_number(value + 8 * (start + lane), found)
            put_mark(marked + start + lane, not good)
            count_marked += not good
        if by_p == 0:
            continue
        solved(L_q, stride, inverse, k, identity, WT)
        triangular_parts(X, stride, ratio, z, k, WT, VT, PT, N, BT)
        for j in range(k):
            slope = dot(WT + stride * j, z, j, k)
            store(mean + BYTES * j, slope)
            store(other + BYTES * j, -slope)
        move_out(mean, by_mean_p, 8 * k, start, count, k)
        move_out(other, by_mean_q, 8 * k, start, count, k)
        for i in range(k):
            for j in range(0, i + 1, BLOCK):
                products(WT, VT, PT, stride, i, j, k, 0.5, N, tight)
        matrix_out(N, tight, by_p, start, count, k)
        for i in range(k):
            for j in range(0, i + 1, BLOCK):
                products(WT, BT, WT, stride, i, j, k, -0.5, N, tight)
        matrix_out(N, tight, by_q, start, count, k)
    # The memory is in use until here, though only its address was.
    room[0] = 0.0
    return count_marked


@compiled
def run(places, first, stop, k, limits, outputs):
    """`divergences` in any dimension."""
    return divergences(places, first, stop, k, limits, outputs)


@compiled
def run_2(places, first, stop, k, limits, outputs):
    """The same in two dimensions, with every loop unrolled."""
    return divergences(places, first, stop, 2, limits, outputs)


@compiled
def run_3(places, first, stop, k, limits, outputs):
    """The same in three."""
    return divergences(places, first, stop, 3, limits, outputs)


@compiled
def run_4(places, first, stop, k, limits, outputs):
    """The same in four."""
    return divergences(places, first, stop, 4, limits, outputs)


#: The kernels that know their dimension; each is compiled when it is first called.
UNROLLED = {2: run_2, 3: run_3, 4: run_4}
