"""What simpler ways fill into cells that are hidden from them: the mean, a Gaussian, the nearest rows, and trees.

The other columns of a row, which tell neighbours and trees, are completed by the Gaussian, as missForest (Stekhoven and
Buehlmann, 2012) completes them by what filled them last.
"""

import numpy as np
import numpy.typing as npt
import torch

from vaekit.jobs.imputation.bagged_trees import BaggedTrees
from vaekit.jobs.imputation.column_filler import ColumnFiller
from vaekit.jobs.imputation.gaussian_anchor import GaussianAnchors
from vaekit.jobs.imputation.rehidden_cells import error_of
from vaekit.jobs.layers_and_optimiser import one_hot
from vaekit.jobs.table_coding import CodedRows

__all__ = ["errors_beside_simpler_ways"]

Floats = npt.NDArray[np.float64]


def errors_beside_simpler_ways(
    whole: CodedRows, told: CodedRows, guess: CodedRows, sizes: tuple[int, ...], *, seed: int
) -> dict[int, dict[str, float]]:
    """Return for each column with hidden cells the error of a guess, and of simpler ways fitted to the other cells.

    Parameters
    ----------
    whole
        Rows.
    told
        The same rows with some of their cells hidden.
    guess
        The rows with a guess in the hidden cells.
    sizes
        The number of positions of each categorical column.
    seed
        Of the trees.

    Returns
    -------
    dict
        By number of the column the errors ``error`` (of the guess), ``of_mean``, ``of_linear``, ``of_neighbours`` and
        ``of_trees``, as in :class:`vaekit.ColumnCheck`; NaN where a way has nothing to say.

    Examples
    --------
    >>> x = torch.linspace(-1, 1, 50)[:, None] * torch.tensor([1.0, 2.0])
    >>> observed, codes = torch.ones(50, 2), torch.zeros(50, 0, dtype=torch.int64)
    >>> seen = observed.clone()
    >>> seen[::5, 1] = 0
    >>> whole, told = CodedRows(x, codes, observed), CodedRows(x * seen, codes, seen)
    >>> errors = errors_beside_simpler_ways(whole, told, told, (), seed=0)[1]
    >>> errors["of_linear"] < errors["of_neighbours"] < errors["of_mean"]
    True
    """
    d, everything = told.numbers.shape[1], np.arange(len(told))
    anchors = GaussianAnchors.fit(told, sizes, [everything])
    expected = anchors.given(told, told.observed)[0][0].double().numpy()
    starts = np.cumsum([0, *[1] * d, *sizes])
    hidden, known = (whole.observed > told.observed).numpy(), told.observed.numpy() > 0
    true, guessed, seen = (_columns(rows, sizes) for rows in (whole, guess, told))
    linear, means, completed = list[Floats](), list[Floats](), list[Floats]()
    for j, column in enumerate(seen):
        there = known[:, j]
        mean = column[there].mean(0) if there.any() else np.zeros(column.shape[1])
        said = expected[:, starts[j] : starts[j + 1]]  # without columns where categories take no part
        linear.append(said)
        means.append(mean)
        completed.append(np.where(there[:, None], column, said if said.size else mean))
    found = dict[int, dict[str, float]]()
    for j in np.flatnonzero(hidden.any(0)).tolist():
        have, asked = np.flatnonzero(known[:, j]), np.flatnonzero(hidden[:, j])
        truth, weight = true[j][asked], np.ones(len(asked))
        guesses = {
            "error": guessed[j][asked],
            "of_mean": np.broadcast_to(means[j], truth.shape),
            "of_linear": linear[j][asked],
            "of_neighbours": truth[:, :0],
            "of_trees": truth[:, :0],
        }
        others = [column for k, column in enumerate(completed) if k != j]
        if others and len(have):
            inputs, target = np.concatenate(others, 1), seen[j][have]
            part = np.zeros(len(have), dtype=np.int64)
            near = ColumnFiller(
                have, inputs[have], target, target, part, parts=1, with_trees=False, seed=seed
            )
            trees = BaggedTrees(inputs[have], target, part, bags=1, seed=seed)
            guesses["of_neighbours"] = near.ways(inputs[asked], truth)[1]
            guesses["of_trees"] = trees.predict(inputs[asked])
        found[j] = {way: error_of(each, truth, weight) for way, each in guesses.items()}
    return found


def _columns(rows: CodedRows, sizes: tuple[int, ...]) -> list[Floats]:
    """Return each column, ``(n, 1)`` numbers or ``(n, positions)`` zeros and ones."""
    own = [rows.numbers[:, [j]] for j in range(rows.numbers.shape[1])] + one_hot(rows, sizes)
    return [column.to(torch.float64).numpy() for column in own]
