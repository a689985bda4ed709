"""A report on a synthetic table: each figure beside the one that real rows get which the model has never seen."""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vaekit.data.messages import few
from vaekit.errors import UsageError
from vaekit.jobs.comparison.compared_tables import ComparedTables, compare_tables
from vaekit.jobs.comparison.synthetic_fidelity import (
    Betrayal,
    column_similarities,
    pair_similarities,
    told_apart,
)
from vaekit.jobs.comparison.synthetic_figures import ColumnReport, Figure, SyntheticReport
from vaekit.jobs.comparison.synthetic_privacy import (
    copied_share,
    membership,
    nearest_record_share,
    rare_categories,
)
from vaekit.jobs.comparison.synthetic_utility import Utility, trained_and_tested
from vaekit.language.grammar import did_you_mean

if TYPE_CHECKING:
    import pandas

__all__ = ["report_synthetic"]

Floats = npt.NDArray[np.float64]

_MOST_ROWS = 10_000  # of each table, where trees tell them apart
_MOST_CELLS = 250_000  # of each table there
_MOST_NEAREST = 5_000
_MOST_TRAINED = 20_000
_MOST_SCORED = 2_000  # rows of each kind whose log p is asked for
_FEWEST = 2  # rows of a table in a comparison of columns


def report_synthetic(
    train: "pandas.DataFrame",
    held_out: "pandas.DataFrame",
    synthetic: "pandas.DataFrame",
    *,
    target: str | None = None,
    log_density: "Callable[[pandas.DataFrame], npt.ArrayLike] | None" = None,
    seed: int = 0,
) -> SyntheticReport:
    """Compare a synthetic table with the rows that its model was fitted to.

    Every figure compares rows with the training rows: first the synthetic rows, then as many held-out real rows, which
    a perfect model could not be told from. Large tables are cut by chance: to 10,000 rows of each where they are told
    apart (fewer with more than 25 columns), 5,000 for nearest records, 20,000 to train on, 2,000 for log p.

    Parameters
    ----------
    train
        The rows that the model was fitted to; columns of any type, with holes.
    held_out
        Real rows of the same kind that the model has not seen; none (``train[:0]``) leaves out all that needs them.
    synthetic
        The synthetic rows, with the same columns.
    target
        A column to predict from the others, to measure the usefulness of the rows.
    log_density
        A function from a table of n rows to the model's log p of each, in nats.
    seed
        Of the cuts, splits and shuffles.

    Raises
    ------
    DataError
        For tables without rows or with other columns.
    UsageError
        For a target that is no column with values.

    Examples
    --------
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> def drawn(n, shift=0.0):
    ...     return pd.DataFrame({"size": rng.normal(size=n) + shift, "kind": rng.choice(["a", "b"], n)})
    >>> report = report_synthetic(drawn(500), drawn(500), drawn(500, shift=1.0))
    >>> report["c2st"].synthetic > 0.65, abs(report["c2st"].real - 0.5) < 0.1
    (True, True)
    >>> report.betrayers()[0].name
    'size'
    """
    tables = compare_tables(train, held_out, synthetic)
    names = [column.name for column in tables.columns]
    if target is not None and target not in names:
        raise UsageError(
            f"target={target!r}: there is no such column with values{did_you_mean(target, names)}"
        )
    notes = [*tables.notes, *_filled(tables)]
    rng = np.random.default_rng(seed)
    shuffled = [x[rng.permutation(len(x))] for x in (tables.train, tables.held_out, tables.synthetic)]
    apart, betrayals = _told_apart(shuffled, tables, seed, notes)
    figures, pairs = _likeness(shuffled, tables, seed)
    figures = [apart, *figures]
    if target is not None:
        figures += _utility(shuffled, tables, names.index(target), notes)
    figures += _nearest(shuffled, tables, notes)
    private, examples = _copies(shuffled, tables)
    figures += private
    if log_density is not None:
        figures += _membership(log_density, train, held_out, rng, notes)
    return SyntheticReport(
        figures=tuple(figures),
        columns=_columns(tables, betrayals),
        pairs=pairs,
        target=target,
        rows=(len(train), len(held_out), len(synthetic)),
        rare_examples=examples,
        notes=tuple(notes),
    )


def _filled(tables: ComparedTables) -> list[str]:
    """Say which columns have holes in the training rows only, which betrays every synthetic row a little."""
    here, there = (np.isnan(x).any(0) for x in (tables.train, tables.synthetic))
    filled = [tables.columns[j].name for j in np.flatnonzero(here & ~there).tolist()]
    return [f"with holes in the training rows only, which tells rows apart: {few(filled)}"] if filled else []


def _told_apart(
    shuffled: Sequence[Floats], tables: ComparedTables, seed: int, notes: list[str]
) -> tuple[Figure, list[Betrayal]]:
    train, held_out, synthetic = shuffled
    n = min(len(train), len(synthetic), _MOST_ROWS, max(_MOST_CELLS // len(tables.columns), 500))
    if len(held_out):
        n = min(n, max(len(held_out), 300))
    found = told_apart(train[:n], synthetic[:n], tables.discrete, seed=seed)
    real = told_apart(train[:n], held_out[:n], tables.discrete, seed=seed, columns=False)
    if found is None:
        notes.append(f"too few rows to tell tables apart: {n}, at least 30 of each are needed")
    value, error = found[0] if found is not None else (None, None)
    real_value, real_error = real[0] if real is not None else (None, None)
    figure = Figure(
        "c2st", "told apart (C2ST)", value, error, real_value, real_error, n, "0.5, no better than chance"
    )
    return figure, [] if found is None else found[1]


def _likeness(
    shuffled: Sequence[Floats], tables: ComparedTables, seed: int
) -> tuple[list[Figure], tuple[tuple[str, str, float], ...]]:
    """Return the similarity of columns and of pairs, and the least similar pairs."""
    train, held_out, synthetic = shuffled
    columns = tables.columns
    n = min(len(synthetic), len(held_out)) if len(held_out) >= _FEWEST else len(synthetic)
    means = list[list[float | None]]()
    worst: tuple[tuple[str, str, float], ...] = ()
    for rows in (synthetic[:n], held_out[:n]):
        if len(rows) < _FEWEST:
            means.append([None, None, None])
            continue
        shapes = column_similarities(train, rows, columns)
        pairs = pair_similarities(train, rows, columns, seed=seed)
        shape = float(np.nanmean(shapes)) if not np.isnan(shapes).all() else None
        pair = float(np.mean([found.value for found in pairs])) if pairs else None
        means.append([shape, pair, None if shape is None or pair is None else (shape + pair) / 2])
        if rows is not held_out and not worst:
            ordered = sorted(pairs, key=lambda found: found.value)[:10]
            worst = tuple((columns[a].name, columns[b].name, value) for a, b, value in ordered)
    words = {"columns": "columns alike", "pairs": "pairs alike", "quality": "quality (mean of both)"}
    figures = [
        Figure(key, word, mine, None, real, None, n, "as real rows")
        for (key, word), mine, real in zip(words.items(), means[0], means[1], strict=True)
    ]
    return figures, worst


def _utility(
    shuffled: Sequence[Floats], tables: ComparedTables, target: int, notes: list[str]
) -> list[Figure]:
    train, held_out, synthetic = shuffled
    name = tables.columns[target].name
    n = min(len(train), len(synthetic), _MOST_TRAINED)
    found = [
        trained_and_tested(rows[:n], held_out[:_MOST_ROWS], tables.columns, target)
        for rows in (synthetic, train)
    ]
    for what, each in zip(("synthetic", "training"), found, strict=True):
        if isinstance(each, str):
            notes.append(f"no usefulness for {name!r} by {what} rows: {each}")
    scores = [each if isinstance(each, Utility) else Utility() for each in found]
    words = {"auroc": "AUROC", "f1": "F1", "r_squared": "R²"}
    return [
        Figure(key, f"trained on it, {word} of {name}", mine, None, real, None, n, "as real rows")
        for (key, word), mine, real in zip(words.items(), *scores, strict=True)
        if mine is not None or real is not None
    ]


def _nearest(shuffled: Sequence[Floats], tables: ComparedTables, notes: list[str]) -> list[Figure]:
    """Compare the nearest records: of synthetic rows, and of one half of the held-out rows beside the other."""
    train, held_out, synthetic = shuffled
    half = min(len(held_out) // 2, len(train), _MOST_NEAREST)
    if half < _FEWEST:
        notes.append("no nearest records: there are too few held-out rows")
        return []
    asked, others = held_out[:half], held_out[half : 2 * half]
    mine, real = (
        nearest_record_share(rows, train[:half], others, tables.columns) for rows in (synthetic[:half], asked)
    )
    rows = min(half, len(synthetic))
    return [
        Figure(
            "nearest_record_share",
            "nearest record is a training row",
            *mine,
            *real,
            rows,
            "50 %",
            percent=True,
        )
    ]


def _copies(shuffled: Sequence[Floats], tables: ComparedTables) -> tuple[list[Figure], tuple[str, ...]]:
    train, held_out, synthetic = shuffled
    n = min(len(synthetic), len(held_out)) or len(synthetic)
    mine = copied_share(synthetic, train)[1]
    real = copied_share(held_out, train)[1] if len(held_out) else (None, None)
    name = "copies of training rows"
    figures = [Figure("copies", name, *mine, *real, len(synthetic), "as real rows", percent=True)]
    rare = rare_categories(synthetic[:n], train, tables.columns)
    if rare.known:
        there = rare_categories(held_out[:n], train, tables.columns).leaked / rare.known
        other = there if len(held_out) else None
        name = f"of {rare.known:,} rare categor{'y' if rare.known == 1 else 'ies'}, repeated"
        share = rare.leaked / rare.known
        figures.append(
            Figure("rare_categories", name, share, None, other, None, n, "as real rows", percent=True)
        )
    return figures, rare.examples


def _membership(
    log_density: "Callable[[pandas.DataFrame], npt.ArrayLike]",
    train: "pandas.DataFrame",
    held_out: "pandas.DataFrame",
    rng: np.random.Generator,
    notes: list[str],
) -> list[Figure]:
    n = min(len(train), len(held_out), _MOST_SCORED)
    rows = [np.sort(rng.permutation(len(frame))[:n]) for frame in (train, held_out)]
    found = membership(log_density, train.iloc[rows[0]], held_out.iloc[rows[1]]) if n >= _FEWEST else None
    if found is None:
        notes.append("no membership figure: there are too few held-out rows, or none has a log p")
        return []
    return [
        Figure(
            "membership",
            "membership, by the model's log p",
            *found,
            0.5,
            None,
            n,
            "0.5, log p gives nothing away",
        )
    ]


def _columns(tables: ComparedTables, betrayals: list[Betrayal]) -> tuple[ColumnReport, ...]:
    n = min(len(tables.synthetic), len(tables.held_out)) or len(tables.synthetic)
    similar = [
        column_similarities(tables.train, rows[:n], tables.columns)
        for rows in (tables.synthetic, tables.held_out)
    ]
    missing = [np.isnan(x).mean(0) for x in (tables.synthetic, tables.train)]
    found = [
        ColumnReport(
            column.name,
            _known(similar[0][j]),
            _known(similar[1][j]),
            float(missing[0][j]),
            float(missing[1][j]),
            betrayals[j].drop if betrayals else None,
            betrayals[j].alone if betrayals else None,
        )
        for j, column in enumerate(tables.columns)
    ]
    return tuple(sorted(found, key=lambda column: (-column.betrayal, column.similarity or 0.0)))


def _known(value: float) -> float | None:
    return float(value) if isfinite(value) else None
