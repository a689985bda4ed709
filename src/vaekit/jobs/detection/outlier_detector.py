"""OutlierDetector: the odd rows of a table, with a rate of false alarms that holds, as a scikit-learn estimator."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from vaekit.errors import UsageError
from vaekit.estimator.fitting import draw_seed
from vaekit.estimator.given_rows import as_dataset
from vaekit.jobs.detection.blame import Blame, Reason
from vaekit.jobs.detection.conformal import check_rate, p_values, threshold
from vaekit.jobs.detection.member_scores import Members
from vaekit.jobs.detection.member_training import MemberSettings
from vaekit.jobs.saved_job import SavedJob
from vaekit.jobs.table_coding import CodedRows, TableCoding

__all__ = ["OutlierDetector"]

Floats = npt.NDArray[np.float64]

_TOO_ODD_TO_LEARN = 0.05  # the p-value up to which a row is not learned by what explains others


class OutlierDetector(OutlierMixin, SavedJob):
    r"""Odd rows of a table, found by small variational autoencoders that have not seen them.

    Members are trained in pairs on complementary halves of the rows, and each drops the rows that it thinks least of on
    the way, so that odd rows are not learned. A row's surprise is the mean over the members that have not seen it of

    .. math:: -\log p_m(x) - 2 \sum_j \log h_{mj}(x_j)

    in nats, with the member's autoencoder p and its histograms h of single columns. Its p-value is its rank among the
    rows of the fit: see :mod:`vaekit.jobs.detection.conformal`.

    Parameters
    ----------
    members
        The number of members, which is even.
    false_alarm_rate
        The share of good rows that may be flagged. It has to be at least 1/(n + 1) for n rows.
    contamination
        ``auto``, or the share of the rows of the fit that is to be flagged, up to 0.5: then the rate of false alarms is
        not controlled.
    trim
        The share of its rows that a member drops.
    steps
        Steps of training, of all members together; None for a number that follows from the number of rows.
    random_state
        The seed of halves, weights and noise: the same seed gives the same bytes.

    Notes
    -----
    Columns of numbers and of categories, and holes (NaN, None), are taken as they are; a hole counts as an average cell
    of its column, so that it is no evidence. A column without two different values plays no part.

    A row that is equal to one of the fit gets the score of that one, by the members that have not seen it; any other
    row is scored by as many members. Odd rows among those of the fit make the p-values of others larger, never smaller.

    Raises
    ------
    UsageError
        For a rate or a number of members that cannot be.
    DataError
        For data that are no table, fewer than four rows, or no column that varies.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> x = load_iris().data
    >>> detector = OutlierDetector(members=4, false_alarm_rate=0.05, random_state=0).fit(x)
    >>> new = [[5.0, 3.4, 1.5, 0.2], [5.0, 3.4, 15.0, 0.2]]
    >>> detector.predict(new).tolist()
    [1, -1]
    >>> detector.p_values(new).round(3).tolist()[1] < 0.05
    True
    """

    job: ClassVar[str] = "outlier detector"

    n_features_in_: int
    offset_: float  #: A row is flagged where :meth:`score_samples` is below it.
    surprise_: Floats  #: The surprise of each row of the fit, by members that have not seen it, in nats.
    coding_: TableCoding  #: How columns are seen.
    members_: Members  #: The ensemble.
    _fitted_rows: CodedRows
    _fitted_seed: int
    _blame: Blame | None = None

    def __init__(
        self,
        members: int = 16,
        *,
        false_alarm_rate: float = 0.01,
        contamination: float | Literal["auto"] = "auto",
        trim: float = 0.2,
        steps: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.members = members
        self.false_alarm_rate = false_alarm_rate
        self.contamination: float | Literal["auto"] = contamination
        self.trim = trim
        self.steps = steps
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to a table with odd rows in it.

        Parameters
        ----------
        X
            Array, data frame or :class:`vaekit.data.Dataset` of ``(n, columns)``.
        y
            Ignored.
        """
        if not 0 <= self.trim < 1:
            raise UsageError(f"trim={self.trim:g}: give the share of rows to drop, from 0 to below 1")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"steps={self.steps}: give a whole number of at least 1")
        if self.contamination != "auto" and not 0 < self.contamination <= 0.5:
            raise UsageError(
                f"contamination={self.contamination!r}: give 'auto', or a share above 0 and up to 0.5"
            )
        table = as_dataset(self, X, (), (), reset=True)
        if self.contamination == "auto":
            check_rate(self.false_alarm_rate, len(table))
        coding = TableCoding.fit(table)
        rows = coding.code(table, what=table.source)
        seed = draw_seed(self.random_state) % 2**63
        self.members_, self.surprise_ = Members.fit(
            rows,
            coding,
            members=self.members,
            settings=MemberSettings(trim=self.trim, steps=self.steps),
            seed=seed,
        )
        self.coding_ = coding
        self._fitted_rows, self._fitted_seed, self._blame = rows, seed, None
        self.source_ = {"source": table.source, "rows": len(table), "columns": len(coding.columns)}
        self._derive()
        scores = self._score(rows)
        if self.contamination == "auto":
            self.offset_ = -threshold(self.surprise_, self.false_alarm_rate)
        else:
            self.offset_ = float(np.percentile(scores, 100 * self.contamination))
        return self

    def score_samples(self, X: Any) -> Floats:
        """Return the negative surprise of each row, ``(n,)``, in nats: the lower, the odder."""
        return self._score(self._coded(X))

    def decision_function(self, X: Any) -> Floats:
        """Return :meth:`score_samples` less ``offset_``: negative for a row that is flagged."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> "npt.NDArray[np.int64]":
        """Return -1 for each row that is flagged, and 1 for any other."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> Floats:
        r"""Return the p-value of each row, ``(n,)``: flagging rows with p <= a flags the share a of good rows, or less.

        With ``contamination="auto"``, :meth:`predict` flags the rows with :math:`p \le` ``false_alarm_rate``.
        """
        return p_values(self.surprise_, -self.score_samples(X))

    def explain(self, X: Any, *, columns: int = 3) -> list[list[Reason]]:
        """Return for each row the values to blame, with what the row's other values let expect.

        Give it the rows that are flagged: every row has values that are the least expected ones. The first call trains
        networks for it, twice two, on the rows of the fit with a p-value above a twentieth.

        Parameters
        ----------
        X
            The rows, as for :meth:`fit`.
        columns
            The number of values for each row, the first one to blame first.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> x = load_iris(as_frame=True).data
        >>> detector = OutlierDetector(members=4, false_alarm_rate=0.05).fit(x)
        >>> odd = x[:1].assign(**{"petal length (cm)": 15.0})
        >>> detector.explain(odd)[0][0].column
        'petal length (cm)'
        """
        rows = self._coded(X)
        if columns < 1:
            raise UsageError(f"columns={columns}: give a whole number of at least 1")
        if self._blame is None:
            good = p_values(self.surprise_, self.surprise_) > _TOO_ODD_TO_LEARN
            self._blame = Blame.fit(self._fitted_rows, self.coding_.sizes, good=good, seed=self._fitted_seed)
        position = {key: i for i, key in enumerate(self._fitted_rows.row_bytes())}
        places = [position.get(key, -1) for key in rows.row_bytes()]
        unseen = np.array(
            [[place < 0 or not seen[place] for place in places] for seen in ~self._blame.halves.unseen()]
        )
        return self._blame.reasons(rows, self.coding_, unseen, columns=columns)

    def _derive(self) -> None:
        self._known = _mean_of_equals(self._fitted_rows, self.surprise_)

    def _coded(self, X: Any) -> CodedRows:
        check_is_fitted(self)
        return self.coding_.code(as_dataset(self, X, (), (), reset=False), what="the data")

    def _score(self, rows: CodedRows) -> Floats:
        """Return the negative surprise of rows; those of the fit are known by their values."""
        known = [self._known.get(key) for key in rows.row_bytes()]
        new = np.flatnonzero([surprise is None for surprise in known])
        found = np.array([np.nan if surprise is None else surprise for surprise in known])
        if len(new):
            found[new] = self.members_.surprise_of_new(rows.take(torch.from_numpy(new)))
        return -found


def _mean_of_equals(rows: CodedRows, surprise: Floats) -> dict[bytes, float]:
    """Return the surprise of every different row: the mean over the rows that are equal to it."""
    keys = rows.row_bytes()
    positions: dict[bytes, int] = {}
    group = np.array([positions.setdefault(key, len(positions)) for key in keys])
    means = np.bincount(group, weights=surprise) / np.bincount(group)
    return {key: float(means[k]) for key, k in positions.items()}
