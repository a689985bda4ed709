"""Between rows in the units of the data and tensors in the coordinates of the model."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from vaekit.data import Dataset, Schema, split_indices
from vaekit.data.condition_columns import LABELS
from vaekit.errors import UsageError
from vaekit.estimator.inputs import read_input, read_names, to_model
from vaekit.estimator.labels import fill_labels
from vaekit.estimator.parameters import Parameters
from vaekit.runtime.rows import map_chunks
from vaekit.sentence import Sentence
from vaekit.training import History, TrainingSettings
from vaekit.vae import VAE

__all__ = ["Fitted", "Floats", "Given", "hold_out"]

Floats = npt.NDArray[np.float32]
Given = Mapping[str, Any] | str | None
_ROWS_WORTH_SPLITTING = 20


def hold_out(rows: Dataset, seed: int) -> tuple[Dataset, Dataset | None]:
    """Hold a tenth of the rows out, by a hash of row and seed; none where there are few."""
    if len(rows) < _ROWS_WORTH_SPLITTING:
        return rows, None
    split = split_indices(len(rows), seed, validation=0.1, test=0.0)
    return rows.take(split.train), rows.take(split.validation)


class Fitted(Parameters):
    """An estimator with a model, which rows and their conditions are brought to."""

    model_: VAE
    schema_: Schema
    sentence_: Sentence
    settings_: TrainingSettings
    history_: History
    seed_: int

    def _dataset(self, X: Any, conditions: Any = None, *, reset: bool) -> Dataset:
        names = list(read_names(self.condition))
        return read_input(self, X, None if reset else self.schema_, names=names, conditions=conditions)

    def _rows(self, X: Any, conditions: Any = None) -> Dataset:
        check_is_fitted(self, "model_")
        return self._dataset(X, conditions, reset=False)

    def _or_labels(self, conditions: Any, y: Any) -> Any:
        """Conditions as they are given, or where labels are the only one and are not, scikit-learn's ``y``."""
        return y if conditions is None and list(read_names(self.condition)) == [LABELS] else conditions

    def _width(self) -> int:
        return 0 if self.schema_.conditions is None else self.schema_.conditions.width

    def _tensors(self, dataset: Dataset) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Rows in the coordinates of the model, and their conditions where it has any."""
        return self._to_model(dataset.values), self._condition(dataset)

    def _condition(self, dataset: Dataset) -> torch.Tensor | None:
        conditions = self.schema_.conditions
        if conditions is None:
            return None
        c = conditions.encode(dataset.conditions, what=dataset.source, rows=len(dataset))
        return torch.from_numpy(c).to(self._torch_device())

    def _filled(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Conditions with the most probable label where one is missing, of a model that has learned labels."""
        return fill_labels(self.model_, x, c) if "classifier" in self.model_.parts else c

    def _given(self, given: Given, n: int, seed: int) -> torch.Tensor | None:
        conditions = self.schema_.conditions
        if conditions is not None:
            return torch.from_numpy(conditions.given(given, n, seed)).to(self._torch_device())
        if given is not None:
            raise UsageError(f"given {given!r}: the model has no conditions; fit it with a condition")
        return None

    def _to_model(self, values: np.ndarray) -> torch.Tensor:
        return to_model(values, self.schema_, self.model_, self.sentence_).to(self._torch_device())

    def _map(
        self, dataset: Dataset, function: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
    ) -> Floats:
        """Apply a function to chunks of rows given in the units of the data, and of their conditions."""
        values, c = dataset.values, self._condition(dataset)

        def apply(rows: slice) -> torch.Tensor:
            x = self._to_model(values[rows])
            return function(x, None if c is None else self._filled(x, c[rows]))

        return map_chunks(len(values), apply)
