r"""One pass over the means and deviations of diagonal Gaussians, eight coordinates at a time (needs numba).

What the divergence of many pairs costs is the reading, if the arithmetic keeps up. So there is one division
per coordinate, `1 / (s_q (s_p + s_q))`, from which with `d = s_p - s_q`
$$ r = \frac{d}{s_p + s_q}, \qquad t = \frac{d}{s_q}, \qquad z = \frac{m_p - m_q}{s_q} $$
follow by products, and one logarithm per row, that of the product of the ratios of all coordinates that are
not close. Rows with numbers outside the range in which this is safe are done term by term.
"""

import math

import numpy as np
from numba import literal_unroll

from vaekit.gaussian.lanes import COEFFICIENTS, compiled, inlined, polynomial
from vaekit.gaussian.stable import SERIES_RADIUS
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
    store,
)

__all__ = ["diagonal_gradients", "diagonal_sums"]

#: `s_q (s_p + s_q)` has a usable reciprocal in here.
LEAST, MOST = 1e-280, 1e280
#: The product of eight numbers in here is a number.
SMALL, LARGE = 1e-35, 1e35


@inlined
def terms_of(mean_p, scale_p, mean_q, scale_q, total, product, lowest, highest):
    """The running sums and products with those of eight coordinates."""
    s_p, s_q = load(scale_p), load(scale_q)
    difference, both = s_p - s_q, s_p + s_q
    square = s_q * both
    inverse = fill(1.0) / square
    unit = both * inverse
    r, t, z = difference * s_q * inverse, difference * unit, (load(mean_p) - load(mean_q)) * unit
    s = r * r
    small = r * (t - (s + s) * polynomial(s))
    size, radius, one = magnitude(r), fill(SERIES_RADIUS), fill(1.0)
    squares = multiply_add(t, t, z * z)
    total = total + multiply_add(fill(0.5), squares, if_at_most(size, radius, small, t))
    product = product * if_at_most(size, radius, one, s_p * unit)
    return (
        total,
        product,
        if_at_most(lowest, square, lowest, square),
        if_at_most(square, highest, highest, square),
    )


@inlined
def scalar_polynomial(s):
    """The same series of one number."""
    total = COEFFICIENTS[0]
    for c in literal_unroll(COEFFICIENTS[1:]):
        total = total * s + c
    return total


@inlined
def term_by_term(mean_p, scale_p, mean_q, scale_q, k):
    """The sum over one row, for any numbers."""
    total = 0.0
    for i in range(k):
        s_p, s_q = number_at(scale_p + 8 * i), number_at(scale_q + 8 * i)
        t = (s_p - s_q) / s_q
        z = (number_at(mean_p + 8 * i) - number_at(mean_q + 8 * i)) / s_q
        r = t / (2.0 + t)
        s = r * r
        if abs(r) <= SERIES_RADIUS:
            total += r * (t - 2.0 * s * scalar_polynomial(s))
        else:
            total += t - math.log(s_p / s_q)
        total += 0.5 * (t * t + z * z)
    return total


@compiled
def diagonal_sums(places, first, stop, k, value):
    """Rows ``first`` to ``stop``; ``places`` holds the addresses of the means and deviations of p and q, then
    the steps in bytes from row to row."""
    mean_p, scale_p, mean_q, scale_q, mean_p_step, scale_p_step, mean_q_step, scale_q_step = places
    whole = k // WIDTH * WIDTH
    room = np.empty(8 * WIDTH)
    rest = room.ctypes.data
    rest_s_p, rest_m_q, rest_s_q = rest + BYTES, rest + 2 * BYTES, rest + 3 * BYTES
    sums, products = rest + 4 * BYTES, rest + 5 * BYTES
    lows, highs = rest + 6 * BYTES, rest + 7 * BYTES
    # Coordinates that fill up the last eight: standard normal on both sides.
    store(rest, fill(0.0))
    store(rest_m_q, fill(0.0))
    store(rest_s_p, fill(1.0))
    store(rest_s_q, fill(1.0))
    for row in range(first, stop):
        m_p, s_p = mean_p + mean_p_step * row, scale_p + scale_p_step * row
        m_q, s_q = mean_q + mean_q_step * row, scale_q + scale_q_step * row
        total, product, lowest, highest = fill(0.0), fill(1.0), fill(1.0), fill(1.0)
        for i in range(0, 8 * whole, BYTES):
            total, product, lowest, highest = terms_of(
                m_p + i, s_p + i, m_q + i, s_q + i, total, product, lowest, highest
            )
        if whole < k:
            for i in range(k - whole):
                at = 8 * (whole + i)
                put_number(rest + 8 * i, number_at(m_p + at))
                put_number(rest_s_p + 8 * i, number_at(s_p + at))
                put_number(rest_m_q + 8 * i, number_at(m_q + at))
                put_number(rest_s_q + 8 * i, number_at(s_q + at))
            total, product, lowest, highest = terms_of(
                rest, rest_s_p, rest_m_q, rest_s_q, total, product, lowest, highest
            )
        store(sums, total)
        store(products, product)
        store(lows, lowest)
        store(highs, highest)
        found, ratios, safe = 0.0, 1.0, True
        for lane in range(0, BYTES, 8):
            factor = number_at(products + lane)
            found += number_at(sums + lane)
            ratios *= factor
            safe &= SMALL < factor < LARGE
            safe &= number_at(lows + lane) > LEAST
            safe &= number_at(highs + lane) < MOST
        found = found - math.log(ratios) if safe else term_by_term(m_p, s_p, m_q, s_q, k)
        put_number(value + 8 * row, found)
    room[0] = 0.0


@inlined
def slopes(m_p, s_p, m_q, s_q, grad):
    """Gradients by the mean and deviation of p and the deviation of q, of one number or of eight."""
    t, z = (s_p - s_q) / s_q, (m_p - m_q) / s_q
    unit = grad / s_q
    return unit * z, unit * t + grad * t / s_p, -(unit * (t + t * (s_p / s_q) + z * z))


@compiled
def diagonal_gradients(places, first, stop, k, grad, grad_step, outputs):
    """Gradients of ``diagonal_sums`` times one number per row, to both means and deviations, row by row."""
    mean_p, scale_p, mean_q, scale_q, mean_p_step, scale_p_step, mean_q_step, scale_q_step = places
    to_mean_p, to_scale_p, to_mean_q, to_scale_q = outputs
    whole = 8 * (k // WIDTH * WIDTH)
    for row in range(first, stop):
        m_p, s_p = mean_p + mean_p_step * row, scale_p + scale_p_step * row
        m_q, s_q = mean_q + mean_q_step * row, scale_q + scale_q_step * row
        by, out = number_at(grad + grad_step * row), 8 * k * row
        many = fill(by)
        for i in range(0, whole, BYTES):
            mean, p, q = slopes(load(m_p + i), load(s_p + i), load(m_q + i), load(s_q + i), many)
            store(to_mean_p + out + i, mean)
            store(to_scale_p + out + i, p)
            store(to_mean_q + out + i, -mean)
            store(to_scale_q + out + i, q)
        for i in range(whole, 8 * k, 8):
            numbers = number_at(m_p + i), number_at(s_p + i), number_at(m_q + i), number_at(s_q + i)
            mean, p, q = slopes(numbers[0], numbers[1], numbers[2], numbers[3], by)
            put_number(to_mean_p + out + i, mean)
            put_number(to_scale_p + out + i, p)
            put_number(to_mean_q + out + i, -mean)
            put_number(to_scale_q + out + i, q)
