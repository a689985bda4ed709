"""What an estimator that has learned labels says about rows."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from vaekit.errors import UsageError
from vaekit.estimator.rows import Fitted, Floats

__all__ = ["LabelVerbs"]


class LabelVerbs(Fitted):
    """What needs a classifier."""

    def label_names(self) -> tuple[str, ...]:
        """Names of the labels that the model has learned, in the order of their probabilities.

        Raises
        ------
        UsageError
            If it has no classifier.
        """
        check_is_fitted(self, "model_")
        if "classifier" not in self.model_.parts:
            raise UsageError(
                f"objective {self.sentence_.objective.kind} learns no labels; fit with objective=m2 and a condition"
            )
        return self.schema_.conditions.conditions[0].categories  # type: ignore[union-attr, return-value]

    def predict_label_probabilities(self, X: Any) -> Floats:
        r"""Give :math:`q(y \mid x)` of each row, ``(n, labels)``, in the order of :meth:`label_names`."""
        self.label_names()
        return self._map(self._rows(X), lambda x, c: self.model_.classify(x).probs)

    def predict_labels(self, X: Any) -> npt.NDArray[np.str_]:
        """Give the most probable label of each row, by name; labels that are there are not looked at."""
        names = np.array(self.label_names())
        return names[self.predict_label_probabilities(X).argmax(1)]
