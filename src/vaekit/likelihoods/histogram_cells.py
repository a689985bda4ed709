r"""The cells of a histogram, learned from training rows: values that come often, and bins for the rest.

**A value stands for an interval.** Data are recorded to a resolution :math:`r`: 1 for whole numbers (100 where all are
whole hundreds), :math:`10^{-d}` for numbers of :math:`d` decimals, the step of numbers on another regular grid, and a
millionth of the standard deviation of all others. A value :math:`x` stands for the interval from :math:`x - r/2` to
:math:`x + r/2`, and what is reported is the probability of that interval, divided by :math:`r`. So whole numbers get
probabilities (:math:`r = 1`), real numbers a density in the units of the data, and a value that comes often in a column
of real numbers has a density too: its probability spread over the resolution. A smooth density agrees with its own
average over an interval as narrow as :math:`r`, so that all families of a column can be compared.
"""

from dataclasses import dataclass
from math import exp, inf

import numpy as np
import numpy.typing as npt

__all__ = ["Cells", "ColumnFacts", "facts_of", "find_cells"]

_Array = npt.NDArray[np.float64]

_LEAST_SHARE, _LEAST_COUNT = 0.003, 5
_MOST_BINS = 48
_MOST_STEPS = 10_000
_FINEST = 1e-6  # of the standard deviation
_BEYOND_A_BOUND = exp(-20.0)


@dataclass(frozen=True)
class ColumnFacts:
    """The facts about a column that its values alone do not tell, in the coordinates of the model.

    Parameters
    ----------
    resolution
        The step to which its values are recorded; 0: not known.
    lower, upper
        Bounds by nature, where there are some.
    name
        Its name, for messages.
    """

    resolution: float = 0.0
    lower: float = -inf
    upper: float = inf
    name: str = ""


def facts_of(
    values: npt.ArrayLike,
    *,
    whole: bool,
    decimals: int | None,
    offset: float = 0.0,
    scale: float = 1.0,
    name: str = "",
) -> ColumnFacts:
    """Return the facts about a column of values in the units of the data.

    A column without negative values ends at 0, and one whose largest value is 1 or 100 besides ends there.

    Parameters
    ----------
    values
        ``(n,)``, NaN where they are missing.
    whole
        Whether all of them are whole numbers.
    decimals
        The most decimals of a value; None: too many to count.
    offset, scale
        The map to the coordinates of the model, ``(value - offset) / scale``.
    name
        Its name.

    Examples
    --------
    >>> facts_of([0.25, 0.5, 1.0], whole=False, decimals=2, name="share")
    ColumnFacts(resolution=0.01, lower=0.0, upper=1.0, name='share')
    """
    found = np.asarray(values, dtype=np.float64)
    low, high = float(np.nanmin(found)), float(np.nanmax(found))
    resolution = _round_step(found) if whole else 10.0**-decimals if decimals else _regular_step(found)
    lower, upper = (0.0 if low >= 0 else -inf), (high if low >= 0 and high in (1.0, 100.0) else inf)
    return ColumnFacts(resolution / scale, (lower - offset) / scale, (upper - offset) / scale, name)


@dataclass(frozen=True)
class Cells:
    """Cells that share out a range of numbers, and a tail on either side of it.

    Parameters
    ----------
    edges
        ``(intervals + 1,)``: the ends of neighbouring intervals, ascending.
    owner
        ``(intervals,)``: the cell of each; a bin that holds a frequent value is in two pieces.
    width
        ``(cells,)``: the width that the probability of a cell is spread over.
    counts
        ``(cells,)``: the training rows in each.
    step
        The resolution of the values.
    tails
        ``(2,)``: the probability below and above the range.
    scales
        ``(2,)``: the mean distance of a value in a tail from the range.
    """

    edges: _Array
    owner: npt.NDArray[np.int64]
    width: _Array
    counts: _Array
    step: float
    tails: tuple[float, float]
    scales: tuple[float, float]

    def log_density(self, values: npt.ArrayLike) -> _Array:
        """Evaluate the frequencies of the training rows, with one row spread over all cells: ``(n,)`` in nats."""
        x = np.asarray(values, dtype=np.float64)
        share = (self.counts + 1 / len(self.counts)) / (self.counts.sum() + 1)
        inside = np.log1p(-sum(self.tails)) + np.log(share) - np.log(self.width)
        place = np.searchsorted(self.edges, x, side="right") - 1
        result = inside[self.owner[place.clip(0, len(self.owner) - 1)]]
        distances = (self.edges[0] - x, x - self.edges[-1])
        for side, outside in ((0, place < 0), (1, place >= len(self.owner))):
            far = np.floor(distances[side][outside] / self.step) * self.step / self.scales[side]
            result[outside] = np.log(self.tails[side]) - far + self.tail_constant(side)
        return result

    def tail_constant(self, side: int) -> float:
        """Return the log-density of a tail at its beginning, given that a value lies in it."""
        return float(np.log(-np.expm1(-self.step / self.scales[side])) - np.log(self.step))

    def place(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the cell of each value; of one beyond the range, the nearest."""
        place = np.searchsorted(self.edges, np.asarray(values, dtype=np.float64), side="right") - 1
        return self.owner[place.clip(0, len(self.owner) - 1)]


def _round_step(values: _Array) -> float:
    """Return the largest power of ten that divides whole numbers, which are recorded to it."""
    known = values[np.isfinite(values)]
    step = 1.0
    while step < _MOST_STEPS and known.any() and not (known % (10 * step)).any():
        step *= 10
    return step


def _regular_step(values: _Array) -> float:
    """Return the step of values on a regular grid of at most 10,000 points, such as scaled whole numbers; or 0."""
    distinct = np.unique(values[np.isfinite(values)])
    if not 2 < len(distinct) <= _MOST_STEPS:
        return 0.0
    gaps = np.diff(distinct)
    gaps = gaps[gaps > 1e-7 * (distinct[-1] - distinct[0])]
    steps = gaps / gaps.min()
    regular = np.abs(steps - np.rint(steps)).max() < 0.01 and steps.sum() <= _MOST_STEPS
    return float((distinct[-1] - distinct[0]) / np.rint(steps).sum()) if regular else 0.0


def find_cells(values: npt.ArrayLike, facts: ColumnFacts, *, most: int | None = None) -> Cells:
    r"""Learn cells from a column of training rows.

    Values with at least 0.3 % of the rows, and five rows, are cells of their own; the rest is divided into
    :math:`2 n^{1/3}` bins of equal frequency, at most 48, which together with them cover the whole range. Each tail has
    the probability :math:`1 / (n + 1)`, the chance that a further value is the largest of :math:`n + 1`, and falls
    exponentially (over whole numbers, geometrically) by the mean excess of the outer twentieth. Towards a bound by
    nature it falls so fast that less than :math:`e^{-20}` of it lies beyond, and begins there with :math:`e^{-20}`:
    nothing is impossible, so that every row has a score.

    Parameters
    ----------
    values
        ``(n,)``; those that are missing (NaN) are left out.
    facts
        Resolution and bounds, in the coordinates of the values.
    most
        The most cells; None: as many as there are.

    Returns
    -------
    Cells

    Examples
    --------
    >>> ages = np.repeat([20.0, 21.0, 40.0], [10, 30, 20])
    >>> cells = find_cells(ages, ColumnFacts(resolution=1.0))
    >>> len(cells.counts), cells.width.tolist()
    (4, [1.0, 1.0, 1.0, 18.0])
    >>> np.exp(cells.log_density([21.0, 30.0])).round(4).tolist()
    [0.4796, 0.0002]
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[np.isfinite(x)]
    distinct, counts = np.unique(x, return_counts=True)
    deviation = float(x.std()) or max(abs(float(x[0])), 1.0)
    step = facts.resolution or _FINEST * deviation
    frequent = counts >= max(_LEAST_SHARE * len(x), _LEAST_COUNT)
    rest, rest_counts = distinct[~frequent], counts[~frequent]
    bins = min(_MOST_BINS, int(np.ceil(2 * rest_counts.sum() ** (1 / 3))))
    if most is not None:
        bins = min(bins, max(1, most // 2))
        keep = max(0, most - max(bins, 1))
        if frequent.sum() > keep:
            rarest_kept = np.sort(counts[frequent])[::-1][keep - 1] if keep else inf
            frequent &= counts >= rarest_kept
            frequent[np.flatnonzero(frequent)[keep:]] = False
            rest, rest_counts = distinct[~frequent], counts[~frequent]
            bins = max(bins, 1)
    atoms = distinct[frequent]
    # A float32 keeps seven digits: an interval that is narrower is found by values that are a little off, too.
    half = np.maximum(0.5 * step, 4 * np.finfo(np.float32).eps * np.abs(distinct))
    low, high = distinct[0] - half[0], distinct[-1] + half[-1]
    inner = _boundaries(rest, rest_counts, bins, step, regular=facts.resolution > 0)
    half = half[frequent]
    edges, owner = _intervals(low, high, inner, atoms, half, step)
    used, owner = np.unique(owner, return_inverse=True)
    width = np.bincount(owner, np.diff(edges)).astype(np.float64)
    is_atom = used < len(atoms)
    width[is_atom] = step
    counted = np.bincount(owner[(np.searchsorted(edges, x, side="right") - 1).clip(0, len(owner) - 1)])
    found = np.zeros(len(used))
    found[: len(counted)] = counted
    tails, scales = zip(*(_tail(x, facts, step, deviation, side) for side in (0, 1)), strict=True)
    return Cells(edges, owner, width, found, step, tails, scales)


def _boundaries(
    rest: _Array, counts: npt.NDArray[np.int64], bins: int, step: float, *, regular: bool
) -> _Array:
    """Return where bins of nearly equal frequency meet, each halfway between two values (and two steps)."""
    if len(rest) < 2 or bins < 2:
        return np.empty(0)
    cumulative = np.cumsum(counts)
    targets = cumulative[-1] * np.arange(1, bins) / bins
    before = np.unique(np.searchsorted(cumulative, targets).clip(0, len(rest) - 2))
    lower, upper = rest[before], rest[before + 1]
    if not regular:
        return 0.5 * lower + 0.5 * upper
    steps = np.rint((upper - lower) / step)
    return lower + step * (0.5 + np.floor((steps - 1) / 2))


def _intervals(
    low: float, high: float, inner: _Array, atoms: _Array, half: _Array, step: float
) -> tuple[_Array, npt.NDArray[np.int64]]:
    """Return the edges of intervals from low to high and the cell of each: atoms first, then bins."""
    points = np.sort(np.concatenate([[low, high], inner, atoms - half, atoms + half]))
    points = points[(points >= low) & (points <= high)]
    apart = np.concatenate([[True], np.diff(points) > 1e-3 * step])
    edges = points[apart]
    if not apart[-1]:
        edges[-1] = high
    middle = 0.5 * edges[:-1] + 0.5 * edges[1:]
    owner = len(atoms) + np.searchsorted(inner, middle)
    if len(atoms):
        place = np.searchsorted(atoms, middle)
        left, right = (place - 1).clip(0), place.clip(max=len(atoms) - 1)
        nearest = np.where(np.abs(middle - atoms[left]) <= np.abs(atoms[right] - middle), left, right)
        owner = np.where(np.abs(middle - atoms[nearest]) < half[nearest], nearest, owner)
    # Pieces of one cell that meet are one interval.
    starts = np.concatenate([[True], np.diff(owner) != 0])
    return np.concatenate([edges[:-1][starts], edges[-1:]]), owner[starts].astype(np.int64)


def _tail(x: _Array, facts: ColumnFacts, step: float, deviation: float, side: int) -> tuple[float, float]:
    """Return the probability of a tail and its mean length."""
    sign = (-1.0, 1.0)[side]
    outward = np.sort(sign * x)
    outer = outward[-max(2, len(x) // 20) :]
    scale = max(float((outer - outer[0]).mean()), 0.01 * deviation, step)
    mass = 1.0 / (len(x) + 1)
    bound = sign * (facts.lower, facts.upper)[side]
    room = bound - float(outward[-1])
    if room == inf:
        return mass, scale
    return (_BEYOND_A_BOUND, scale) if room < step else (mass, min(scale, room / 20))
