r"""Many small pairs at once: eight Gaussians side by side in the lanes of a vector register (needs numba).

The same quantities as in `dense`, but every arithmetic step is done for eight items of the batch together, so
that
a 4 x 4 problem fills the machine as a large one does. Arrays are `(row, column, lane)`. Matrices that are
read by column are
kept transposed, so that every inner product runs along rows. Close pairs take the LDL factorisation of `I +
D` that never
adds the 1: with `c_{ij} = D_{ij} - \sum_{t<j} c_{it} c_{jt} / (1 + e_t)` and `e_j` the same for `i = j`,
`X_{jj} = \sqrt{1 + e_j} - 1` and `X_{ij} = c_{ij} / \sqrt{1 + e_j}`.

An item that is not handled here (asymmetric, not positive definite, ill-conditioned, not finite) is marked,
and the caller
does it the general way.
"""

import math

import numpy as np
from numba import njit

from vaekit.gaussian.stable import SERIES_COEFFICIENTS, SERIES_RADIUS

__all__ = ["rowwise", "run"]

LANES = 8
COEFFICIENTS = np.array(SERIES_COEFFICIENTS)
TERMS = len(COEFFICIENTS)

# Contraction to fused multiply-add is the one liberty the compiler is given: nothing is reordered.
compiled = njit(fastmath={"contract"}, error_model="numpy", nogil=True, cache=True)


@compiled
def dot(A, i, B, j, start, stop):
    """`sum_t A[i, t] B[j, t]` in every lane."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for t in range(start, stop):
        s0 += A[i, t, 0] * B[j, t, 0]
        s1 += A[i, t, 1] * B[j, t, 1]
        s2 += A[i, t, 2] * B[j, t, 2]
        s3 += A[i, t, 3] * B[j, t, 3]
        s4 += A[i, t, 4] * B[j, t, 4]
        s5 += A[i, t, 5] * B[j, t, 5]
        s6 += A[i, t, 6] * B[j, t, 6]
        s7 += A[i, t, 7] * B[j, t, 7]
    return s0, s1, s2, s3, s4, s5, s6, s7


@compiled
def load(source, start, last, target, status, tolerance):
    """The symmetric parts of eight matrices; marks those that are not symmetric within the tolerance."""
    k = target.shape[0]
    for lane in range(LANES):
        S = source[min(start + lane, last)]
        for i in range(k):
            target[i, i, lane] = S[i, i]
            for j in range(i):
                a, b = S[i, j], S[j, i]
                half = 0.5 * a + 0.5 * b
                target[i, j, lane] = half
                target[j, i, lane] = half
                if not abs(a - b) <= tolerance * min(S[i, i], S[j, j]):
                    status[lane] = 1


@compiled
def factor(S, L, inverse, loss):
    """Cholesky's `L`, the reciprocals of its diagonal, and the largest ratio of a variance to its pivot."""
    k = S.shape[0]
    for j in range(k):
        total = dot(L, j, L, j, 0, j)
        for lane in range(LANES):
            pivot = S[j, j, lane] - total[lane]
            root = math.sqrt(pivot) if pivot > 0.0 else math.nan
            L[j, j, lane] = root
            inverse[0, j, lane] = 1.0 / root
            ratio = S[j, j, lane] / pivot
            loss[lane] = ratio if not ratio <= loss[lane] else loss[lane]
        for i in range(j + 1, k):
            total = dot(L, i, L, j, 0, j)
            for lane in range(LANES):
                L[i, j, lane] = (S[i, j, lane] - total[lane]) * inverse[0, j, lane]


@compiled
def excess_of_nearby(S_p, S_q, L, inverse, VT, DT, C, G, X, ratio, near):
    """`X` and the diagonal of `I + X` from the difference of the covariances, in the lanes that are near."""
    k = S_p.shape[0]
    for j in range(k):
        for i in range(k):
            total = dot(L, i, VT, j, 0, i)
            for lane in range(LANES):
                difference = S_p[i, j, lane] - S_q[i, j, lane]
                VT[j, i, lane] = (difference - total[lane]) * inverse[0, i, lane]
    for j in range(k):
        for i in range(j, k):
            total = dot(L, i, DT, j, 0, i)
            for lane in range(LANES):
                d = (VT[i, j, lane] - total[lane]) * inverse[0, i, lane]
                DT[j, i, lane] = d
                DT[i, j, lane] = d
    for j in range(k):
        total = dot(C, j, G, j, 0, j)
        for lane in range(LANES):
            e = DT[j, j, lane] - total[lane]
            root = math.sqrt(1.0 + e)
            G[j, j, lane] = 1.0 / (1.0 + e)
            if near[lane]:
                ratio[0, j, lane] = root
                X[j, j, lane] = e / (1.0 + root)
        for i in range(j + 1, k):
            total = dot(C, i, G, j, 0, j)
            for lane in range(LANES):
                c = DT[i, j, lane] - total[lane]
                C[i, j, lane] = c
                G[i, j, lane] = c * G[j, j, lane]
                if near[lane]:
                    X[i, j, lane] = c / ratio[0, j, lane]


@compiled
def value_of(X, ratio, z, value, product):
    """`sum_i (t_i - log(1 + t_i)) + (|X|^2 + |z|^2) / 2` in every lane."""
    k = X.shape[0]
    for lane in range(LANES):
        value[lane] = 0.0
        product[lane] = 1.0
    for i in range(k):
        for lane in range(LANES):
            t = X[i, i, lane]
            r = t / (2.0 + t)
            s = r * r
            series = COEFFICIENTS[TERMS - 1]
            for c in range(TERMS - 2, -1, -1):
                series = series * s + COEFFICIENTS[c]
            near = abs(r) < SERIES_RADIUS
            value[lane] += r * (t - 2.0 * s * series) if near else t
            product[lane] *= 1.0 if near else ratio[0, i, lane]
    # One logarithm for all the others, unless their product left the range of the numbers.
    for lane in range(LANES):
        if 1e-290 < product[lane] < 1e290:
            value[lane] -= math.log(product[lane])
        else:
            for i in range(k):
                t = X[i, i, lane]
                if not abs(t / (2.0 + t)) < SERIES_RADIUS:
                    value[lane] -= math.log(ratio[0, i, lane])
    for i in range(k):
        total = dot(X, i, X, i, 0, i + 1)
        for lane in range(LANES):
            value[lane] += 0.5 * (total[lane] + z[0, i, lane] * z[0, i, lane])


@compiled
def gradients_of(L, inverse, X, ratio, z, WT, VT, UT, XT, P, start, count, by_mean, by_p, by_q):
    """The closed forms of `dense`, written to the items of the batch."""
    k = X.shape[0]
    for j in range(k):
        for lane in range(LANES):
            WT[j, j, lane] = inverse[0, j, lane]
        for i in range(j + 1, k):
            total = dot(L, i, WT, j, j, i)
            for lane in range(LANES):
                WT[j, i, lane] = -total[lane] * inverse[0, i, lane]
        for i in range(j, k):
            for lane in range(LANES):
                XT[j, i, lane] = X[i, j, lane]
    for j in range(k):
        for i in range(j, k):
            first = dot(X, i, WT, j, j, i + 1)
            second = dot(X, i, VT, j, j, i)
            for lane in range(LANES):
                VT[j, i, lane] = (first[lane] - second[lane]) / ratio[0, i, lane]
    for j in range(k):
        for i in range(k):
            total = dot(XT, i, WT, j, max(i, j), k)
            for lane in range(LANES):
                UT[j, i, lane] = total[lane]
        total = dot(WT, j, z, 0, j, k)
        for lane in range(LANES):
            P[0, j, lane] = total[lane]
    for lane in range(count):
        for i in range(k):
            by_mean[start + lane, i] = P[0, i, lane]
    for i in range(k):
        for j in range(i + 1):
            a = dot(VT, i, WT, j, i, k)
            b = dot(WT, i, VT, j, i, k)
            c = dot(VT, i, VT, j, i, k)
            d = dot(UT, i, WT, j, j, k)
            e = dot(WT, i, UT, j, i, k)
            f = dot(UT, i, UT, j, 0, k)
            for lane in range(LANES):
                P[1, 0, lane] = 0.5 * (a[lane] + b[lane] - c[lane])
                P[1, 1, lane] = -0.5 * (d[lane] + e[lane] + f[lane] + P[0, i, lane] * P[0, j, lane])
            for lane in range(count):
                item = start + lane
                by_p[item, i, j] = P[1, 0, lane]
                by_p[item, j, i] = P[1, 0, lane]
                by_q[item, i, j] = P[1, 1, lane]
                by_q[item, j, i] = P[1, 1, lane]


@compiled
def run(mean_p, S_p, mean_q, S_q, first, stop, limits, value, marked, by_mean, by_p, by_q):
    """Items ``first`` to ``stop`` of a batch; limits: symmetry, near, loss if far, loss if close, close."""
    k = mean_p.shape[1]
    with_gradient = by_p.shape[0] > 0
    room = np.zeros((13, k, k, LANES))
    A, B, L_p, L_q, M, X = room[0], room[1], room[2], room[3], room[4], room[5]
    VT, DT, C, G, UT, XT, WT = room[6], room[7], room[8], room[9], room[10], room[11], room[12]
    rows = np.zeros((4, 1, k, LANES))
    inverse, inverse_p, ratio, z = rows[0], rows[1], rows[2], rows[3]
    P = np.zeros((2, max(k, 2), LANES))
    lanes = np.zeros((4, LANES))
    out, product, size, loss = lanes[0], lanes[1], lanes[2], lanes[3]
    status, near = np.zeros(LANES, np.uint8), np.zeros(LANES, np.uint8)
    for start in range(first, stop, LANES):
        count = min(LANES, stop - start)
        last = stop - 1
        for lane in range(LANES):
            status[lane] = 0
            loss[lane] = 0.0
        load(S_p, start, last, A, status, limits[0])
        load(S_q, start, last, B, status, limits[0])
        factor(A, L_p, inverse_p, loss)
        factor(B, L_q, inverse, loss)
        for i in range(k):
            total = dot(L_q, i, z, 0, 0, i)
            for lane in range(LANES):
                item = min(start + lane, last)
                z[0, i, lane] = (mean_p[item, i] - mean_q[item, i] - total[lane]) * inverse[0, i, lane]
        # The columns of M = L_q^-1 L_p, kept as rows.
        for j in range(k):
            for i in range(j, k):
                total = dot(L_q, i, M, j, j, i)
                for lane in range(LANES):
                    M[j, i, lane] = (L_p[i, j, lane] - total[lane]) * inverse[0, i, lane]
        for lane in range(LANES):
            size[lane] = 0.0
        for i in range(k):
            for lane in range(LANES):
                ratio[0, i, lane] = M[i, i, lane]
            for j in range(i + 1):
                for lane in range(LANES):
                    x = M[j, i, lane] - (1.0 if i == j else 0.0)
                    X[i, j, lane] = x
                    size[lane] += x * x
        any_near = False
        for lane in range(LANES):
            near[lane] = size[lane] < limits[1]
            any_near = any_near or near[lane]
        if any_near:
            excess_of_nearby(A, B, L_q, inverse, VT, DT, C, G, X, ratio, near)
        value_of(X, ratio, z, out, product)
        for lane in range(count):
            value[start + lane] = out[lane]
            tolerated = limits[3] if size[lane] < limits[4] else limits[2]
            good = status[lane] == 0 and loss[lane] <= tolerated and math.isfinite(out[lane])
            marked[start + lane] = not good
        if with_gradient:
            gradients_of(L_q, inverse, X, ratio, z, WT, VT, UT, XT, P, start, count, by_mean, by_p, by_q)


# Sums may be reordered here, so that the coordinates fill the lanes; each term is what it was.
reordered = njit(fastmath={"contract", "reassoc", "nsz"}, error_model="numpy", nogil=True, cache=True)


@reordered
def rowwise(mean_p, scale_p, mean_q, scale_q, value):
    """Sums of `normal_kl` over the rows of four arrays."""
    n, k = mean_p.shape
    for row in range(n):
        total, product = 0.0, 1.0
        for first in range(0, k, 16):
            part, ratios = 0.0, 1.0
            for i in range(first, min(first + 16, k)):
                s = scale_q[row, i]
                t = (scale_p[row, i] - s) / s
                z = (mean_p[row, i] - mean_q[row, i]) / s
                r = t / (2.0 + t)
                x = r * r
                series = COEFFICIENTS[TERMS - 1]
                for c in range(TERMS - 2, -1, -1):
                    series = series * x + COEFFICIENTS[c]
                near = abs(r) < SERIES_RADIUS
                part += (r * (t - 2.0 * x * series) if near else t) + 0.5 * (t * t + z * z)
                ratios *= 1.0 if near else scale_p[row, i] / s
            total += part
            if 1e-150 < ratios < 1e150:
                product *= ratios
                if not 1e-150 < product < 1e150:
                    total -= math.log(product)
                    product = 1.0
            else:
                for i in range(first, min(first + 16, k)):
                    ratio = scale_p[row, i] / scale_q[row, i]
                    t = (scale_p[row, i] - scale_q[row, i]) / scale_q[row, i]
                    if not abs(t / (2.0 + t)) < SERIES_RADIUS:
                        total -= math.log(ratio)
        value[row] = total - math.log(product)
