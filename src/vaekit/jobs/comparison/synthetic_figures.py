"""The figures of a synthetic table, each beside that of real rows which the model has never seen."""

from dataclasses import asdict, dataclass
from typing import Any

from vaekit.data.messages import few, plural

__all__ = ["NO_GUARANTEE", "ColumnReport", "Figure", "SyntheticReport"]

NO_GUARANTEE = (
    "These figures are tests, and no formal privacy guarantee: a table that passes them may still tell something "
    "about a person in the training rows."
)
"""The sentence that every report ends with."""


@dataclass(frozen=True)
class Figure:
    """One figure of a synthetic table, and the same of real rows.

    Parameters
    ----------
    key
        Its name: ``c2st``, ``columns``, ``pairs``, ``quality``, ``auroc``, ``f1``, ``r_squared``,
        ``nearest_record_share``, ``copies``, ``rare_categories`` or ``membership``.
    name
        The figure in words.
    synthetic
        Its value; None where there is none.
    synthetic_error
        Its standard error; None where none is known.
    real, real_error
        The same for held-out real rows in the place of the synthetic ones.
    rows
        The number of synthetic rows that it was measured on.
    best
        In words, the value of a table that is as good as real rows.
    percent
        Whether it is a share, which is written in per cent.
    """

    key: str
    name: str
    synthetic: float | None
    synthetic_error: float | None
    real: float | None
    real_error: float | None
    rows: int
    best: str
    percent: bool = False

    def written(self, value: float | None, error: float | None) -> str:
        """Return a value of this figure and its standard error as text.

        >>> Figure("c2st", "told apart", 0.5, 0.01, None, None, 9, "").written(0.5, 0.01)
        '0.500 ± 0.010'
        """
        if value is None:
            return "none"
        scale, digits = (100.0, 2) if self.percent else (1.0, 3)
        told = "" if error is None else f" ± {scale * error:.{digits}f}"
        return f"{scale * value:.{digits}f}{told}" + " %" * self.percent


@dataclass(frozen=True)
class ColumnReport:
    """One column of a synthetic table beside the training rows.

    Parameters
    ----------
    name
        The column.
    similarity, real_similarity
        One minus the distance of its distribution from that of the training rows, for synthetic and for held-out rows;
        None where one of them has no value.
    missing, real_missing
        The share of synthetic and of training rows in which it is missing.
    drop
        By how much the AUROC of telling synthetic rows from real ones falls when the column is shuffled.
    alone
        The AUROC of telling them by this column alone.
    """

    name: str
    similarity: float | None
    real_similarity: float | None
    missing: float
    real_missing: float
    drop: float | None
    alone: float | None

    @property
    def betrayal(self) -> float:
        """The larger of what the column gives away with the others and alone, above nothing."""
        return max(self.drop or 0.0, (self.alone or 0.5) - 0.5)


@dataclass(frozen=True)
class SyntheticReport:
    """The figures of a synthetic table.

    Parameters
    ----------
    figures
        The figures, in the order in which they are printed.
    columns
        The columns, those first that betray the synthetic rows.
    pairs
        The ten pairs of columns whose joint distribution is the least similar, with the similarity.
    target
        The column that usefulness was measured for, if any.
    rows
        The number of training, held-out and synthetic rows.
    rare_examples
        Rare categories of the training rows that the synthetic rows have too.
    notes
        What else is to be said, such as figures that could not be measured.
    """

    figures: tuple[Figure, ...]
    columns: tuple[ColumnReport, ...]
    pairs: tuple[tuple[str, str, float], ...]
    target: str | None
    rows: tuple[int, int, int]
    rare_examples: tuple[str, ...]
    notes: tuple[str, ...]

    def __getitem__(self, key: str) -> Figure:
        """Return a figure by its key.

        Raises
        ------
        KeyError
            Where there is no such figure: :attr:`notes` say why.
        """
        for figure in self.figures:
            if figure.key == key:
                return figure
        raise KeyError(f"no figure {key!r}; there are {few([figure.key for figure in self.figures], 20)}")

    def betrayers(self) -> list[ColumnReport]:
        """Return the columns that give synthetic rows away, the worst first; none where nothing can be told apart.

        A column counts whose loss costs a hundredth of AUROC, or that tells by itself as much.
        """
        figure = self["c2st"]
        if figure.synthetic is None or figure.synthetic <= 0.5 + 2 * (figure.synthetic_error or 0.0):
            return []
        return [column for column in self.columns if column.betrayal >= 0.01]

    def lines(self) -> list[str]:
        """Return the report as lines for a terminal."""
        train, held_out, synthetic = self.rows
        head = ["", "synthetic", "real rows", "ideal"]
        table = [head, *(
            [
                figure.name,
                figure.written(figure.synthetic, figure.synthetic_error),
                figure.written(figure.real, figure.real_error),
                figure.best,
            ]
            for figure in self.figures
        )]  # fmt: skip
        widths = [max(len(row[k]) for row in table) for k in range(4)]
        lines = [
            f"{plural(synthetic, 'synthetic row')} beside {train:,} training rows; "
            f"'real rows' are {held_out:,} held-out ones in their place"
        ]
        lines += [
            f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip()
            for row in table
        ]
        betrayers = self.betrayers()
        for k, column in enumerate(betrayers[:5]):
            lines.append(("betrayed by  " if k == 0 else " " * 13) + _betrayal_in_words(column))
        if not betrayers and self["c2st"].synthetic is not None:
            lines.append(
                "betrayed by  no column: trees cannot tell the rows apart, or only by many columns together"
            )
        if self.rare_examples:
            lines.append(
                f"rare         {few(self.rare_examples)}: in one or two training rows, and in these too"
            )
        return [*lines, *(f"note         {note}" for note in self.notes), NO_GUARANTEE]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain dictionaries, lists, strings and numbers."""
        train, held_out, synthetic = self.rows
        return {
            "rows": {"training": train, "held_out": held_out, "synthetic": synthetic},
            "target": self.target,
            "figures": [asdict(figure) for figure in self.figures],
            "columns": [asdict(column) for column in self.columns],
            "pairs": [{"columns": [a, b], "similarity": value} for a, b, value in self.pairs],
            "rare_examples": list(self.rare_examples),
            "notes": list(self.notes),
            "guarantee": NO_GUARANTEE,
        }


def _betrayal_in_words(column: ColumnReport) -> str:
    told = [] if column.drop is None else [f"without it {max(column.drop, 0.0):.3f} less"]
    told += [] if column.alone is None else [f"alone {column.alone:.3f}"]
    return f"{column.name}: {', '.join(told)}"
