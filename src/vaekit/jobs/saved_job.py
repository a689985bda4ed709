"""Saving and loading of fitted jobs: one way for the detector, the imputer and the synthesizer.

The state of an estimator is its parameters and every fitted attribute that its class declares with a type. The
artifact that holds it is that of :mod:`vaekit.artifact.fitted_jobs`: a folder without pickle and without code.
"""

from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from vaekit.artifact import FittedJob, read_job, write_job
from vaekit.errors import ArtifactError
from vaekit.estimator.given_rows import TakesHoles
from vaekit.jobs.saved_state import pack, unpack
from vaekit.runtime.surroundings import usual_surroundings

__all__ = ["SavedJob"]

_SEED_STATE = "random_state"


class SavedJob(TakesHoles):
    """An estimator of a job on tables that can be saved and loaded. Abstract."""

    job: ClassVar[str]
    """What it is, as its artifact says."""

    source_: dict[str, Any]  #: The data of the fit: their name, and the number of rows and columns.

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the fitted estimator as a portable artifact: a folder with JSON and arrays, no pickle and no code.

        It holds what the estimator needs of the rows of the fit, so that it is no less private than these.

        Parameters
        ----------
        path
            The folder; by custom it ends in ``.vae``.
        force
            Whether to replace an artifact that is there.

        Raises
        ------
        ArtifactError
            If something is there, or the place cannot be written to.
        UsageError
            For a parameter that is no number, text or list of these.
        """
        check_is_fitted(self)
        arrays: dict[str, Tensor] = {}
        declared = self._declared()
        fitted = {name: value for name, value in vars(self).items() if name in declared}
        state = {
            "parameters": pack(_with_seed(self.get_params(deep=False)), "parameters", arrays),
            "names": [str(name) for name in vars(self).get("feature_names_in_", ())],
            "fitted": pack(fitted, "", arrays),
        }
        write_job(Path(path), FittedJob(self.job, state, arrays, self.source_), force=force)

    @classmethod
    @usual_surroundings()
    def load(cls, path: str | Path) -> Self:
        """Return the fitted estimator of an artifact; what it returns is, byte for byte, what the saved one returned.

        Parameters
        ----------
        path
            A folder that :meth:`save` made.

        Raises
        ------
        ArtifactError
            If it is missing, damaged, of another kind, or from a newer version of vaekit.
        """
        folder = Path(path)
        found = read_job(folder, expected=cls.job)
        try:
            return cls._of_state(found)
        except ArtifactError as error:
            raise ArtifactError(f"{folder}: {error}") from error
        except (TypeError, ValueError, KeyError, IndexError, RuntimeError, AttributeError) as error:
            raise ArtifactError(
                f"{folder}: its state does not fit together: {error}; was it edited?"
            ) from error

    @classmethod
    def _of_state(cls, found: FittedJob) -> Self:
        state, arrays = found.state, found.arrays
        estimator = cls(**_without_seed(unpack(state["parameters"], dict[str, Any], "parameters", arrays)))
        own, declared = vars(estimator), cls._declared()
        for name in declared:
            if name not in state["fitted"] and name not in vars(cls):
                raise ArtifactError(f"the attribute {name!r} is missing; was it edited?")
        for name, document in state["fitted"].items():
            if name not in declared:
                raise ArtifactError(
                    f"an attribute {name!r:.60} that this version does not know; was it edited?"
                )
            own[name] = unpack(document, declared[name], name, arrays)
        if names := unpack(state["names"], list[str], "names", arrays):
            own["feature_names_in_"] = np.array(names, dtype=object)
        own["source_"] = found.summary
        estimator._derive()
        check_is_fitted(estimator)
        return estimator

    @classmethod
    def _declared(cls) -> dict[str, Any]:
        """Return the fitted attributes that the class declares, with their types."""
        apart = {"job", "source_", *cls._get_param_names()}
        return {name: kind for name, kind in get_type_hints(cls).items() if name not in apart}

    def _derive(self) -> None:
        """Set what follows from the fitted attributes that are saved."""


def _with_seed(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with the state of a generator in its place."""
    seed = parameters.get(_SEED_STATE)
    if not isinstance(seed, np.random.RandomState):
        return parameters
    _, keys, *rest = seed.get_state(legacy=True)
    return parameters | {_SEED_STATE: [[int(key) for key in keys], *rest]}


def _without_seed(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with a generator in the place of its state."""
    if not isinstance(kept := parameters.get(_SEED_STATE), list):
        return parameters
    keys, *rest = kept
    generator = np.random.RandomState()
    generator.set_state(("MT19937", np.array(keys, dtype=np.uint32), *rest))
    return parameters | {_SEED_STATE: generator}
