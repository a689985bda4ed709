"""What a fitted estimator does with rows: encode, decode, generate, score, evaluate."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from vaekit.data.stored import StoredRows
from vaekit.errors import UsageError
from vaekit.estimator.inputs import check_latents
from vaekit.estimator.labels import marginal_log_likelihood
from vaekit.estimator.rows import Fitted, Floats, Given
from vaekit.evaluation import Evaluation, evaluate, log_likelihood
from vaekit.runtime.randomness import seeded
from vaekit.runtime.rows import chunks, map_chunks
from vaekit.vae import code_of

__all__ = ["FittedVerbs"]


class FittedVerbs(Fitted):
    """What needs a fitted model and changes nothing in it."""

    def transform(self, X: Any, *, conditions: Any = None) -> Floats:
        r"""Encode: the mean of :math:`q(z \mid x)`, ``(n, latent)``. The same bytes every time.

        Where the latents live in a curved space, it is the point there that stands for the posterior. A conditional
        model needs the rows' conditions, as columns of ``X`` or given beside it as to :meth:`fit`; one that learns
        labels takes the most probable where there is none.
        """
        return self._map(self._rows(X, conditions), lambda x, c: code_of(self.model_.encode(x, c)))

    def inverse_transform(self, Z: npt.ArrayLike, *, given: Given = None) -> npt.NDArray[np.float64]:
        r"""Decode: the mean of :math:`p(x \mid z)`, in the units of the data, ``(n, *event)``.

        ``given`` says under which condition, as for :meth:`sample`.
        """
        check_is_fitted(self, "model_")
        z = torch.from_numpy(check_latents(Z, self.model_.latent_shape)).to(self._torch_device())
        c = self._given(given, len(z), self.seed_)
        return self.schema_.inverse(
            map_chunks(len(z), lambda rows: self.model_.decode(z[rows], None if c is None else c[rows]).mean)
        )

    def reconstruct(self, X: Any, *, conditions: Any = None) -> npt.NDArray[np.float64]:
        """Encode and decode, in the units of the data, ``(n, *event)``; no noise. Conditions as for `transform`."""
        return self.schema_.inverse(self._map(self._rows(X, conditions), self.model_.reconstruct))

    def sample(
        self,
        n_samples: int = 1,
        *,
        given: Given = None,
        random_state: int | None = None,
        noise: bool = False,
    ) -> npt.NDArray[np.float64]:
        r"""Generate: :math:`z \sim p(z)`, then the mean of :math:`p(x \mid z)`, or with ``noise`` a draw from it.

        The same ``random_state`` gives the same bytes; None: new ones at every call. ``given`` says under which
        condition a conditional model generates: ``{"label": 3}`` or ``"label=3"``, with one value or ``n_samples`` of
        each; ``"data"`` draws conditions as the training rows had them.
        """
        blocks = self.sample_blocks(n_samples, given=given, random_state=random_state, noise=noise)
        return np.concatenate(list(blocks))

    def sample_blocks(
        self,
        n_samples: int,
        *,
        given: Given = None,
        random_state: int | None = None,
        noise: bool = False,
    ) -> Iterator[npt.NDArray[np.float64]]:
        """Give the rows of :meth:`sample` some thousand at a time, for more than memory holds.

        Until the last has been given torch's global generators are this method's: draw nothing from them in between.
        """
        check_is_fitted(self, "model_")
        if n_samples < 1:
            raise UsageError(f"n_samples={n_samples}: give a whole number of at least 1")
        seed = _new_seed() if random_state is None else random_state
        c = self._given(given, n_samples, seed)
        with seeded(seed):
            for rows in chunks(n_samples):
                part = None if c is None else c[rows]
                with torch.no_grad():
                    x = self.model_.sample(rows.stop - rows.start, part, noise=noise)
                yield self.schema_.inverse(x.cpu().numpy())

    def sample_latents(
        self, n_samples: int = 1, *, given: Given = None, random_state: int | None = None
    ) -> npt.NDArray[np.float64]:
        r"""Draw :math:`z \sim p(z)`, ``(n, *latent)``: what :meth:`sample` decodes. Arguments as there."""
        check_is_fitted(self, "model_")
        if n_samples < 1:
            raise UsageError(f"n_samples={n_samples}: give a whole number of at least 1")
        seed = _new_seed() if random_state is None else random_state
        prior = self.model_.prior(self._given(given, n_samples, seed))
        with seeded(seed), torch.no_grad():
            z = prior.sample(torch.Size(() if prior.batch_shape else (n_samples,)))
        return z.cpu().double().numpy()

    def score_samples(self, X: Any, *, conditions: Any = None, samples: int = 100) -> npt.NDArray[np.float64]:
        r"""Estimate :math:`\log p(x)` of each row by importance sampling, in nats and the units of the data.

        All rows share the same fixed draws of noise: a row's score depends on nothing but the row (to float32's
        rounding), and the same rows give the same bytes every time. See
        :func:`vaekit.evaluation.log_likelihood`. Of a conditional model it is :math:`\log p(x \mid c)`;
        where a model that learns labels is given none, it is :math:`\log \sum_y p(y)\, p(x \mid y)`.
        """
        x, c = self._tensors(self._rows(X, conditions))
        with seeded(self.seed_ + 2):
            known = log_likelihood(self.model_, x, c=c, samples=samples, common_noise=True).values
        if c is None or "classifier" not in self.model_.parts or (labelled := (c != 0).any(1)).all():
            return known.numpy()
        found = marginal_log_likelihood(
            self.model_, x[~labelled], labels=c.shape[1], samples=samples, seed=self.seed_ + 2
        )
        known[~labelled.cpu()] = found
        return known.numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """Average :meth:`score_samples`: higher is better."""
        return float(self.score_samples(X, conditions=self._or_labels(None, y)).mean())

    def evaluate(
        self,
        X: Any,
        *,
        conditions: Any = None,
        samples: int = 500,
        split: str = "all",
        train: Any = None,
        seed: int | None = None,
    ) -> Evaluation:
        """Evaluate on held-out data; see :func:`vaekit.evaluation.evaluate`.

        Parameters
        ----------
        X
            Held-out data.
        conditions
            As for :meth:`fit`.
        samples
            Importance samples an example.
        split
            What to call it.
        train
            The training data, for baselines; None, or data left in their file: no baselines.
        seed
            Of the noise; by default the estimator's.
        """
        x, c = self._tensors(self._rows(X, conditions))
        if c is not None and "classifier" in self.model_.parts and not (known := (c != 0).any(1)).all():
            if not known.any():
                raise UsageError(
                    "evaluate: every label is missing, and what is evaluated is log p(x|y); score_samples gives "
                    "log p(x)"
                )
            x, c, split = x[known], c[known], f"{split}, rows with a label"
        baselines = None if train is None else self._rows(train).values
        if isinstance(baselines, StoredRows):
            baselines = None
        return evaluate(
            self.model_,
            x,
            c=c,
            samples=samples,
            seed=self.seed_ if seed is None else seed,
            split=split,
            train=None if baselines is None else self._to_model(baselines),
            log_jacobian=self.schema_.log_jacobian,
        )


def _new_seed() -> int:
    return int(np.random.default_rng().integers(2**31 - 1))
