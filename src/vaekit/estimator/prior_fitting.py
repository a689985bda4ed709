"""Fitting a prior to the codes of a fitted estimator."""

from dataclasses import replace
from typing import Any, Self

from vaekit.aggregate import PriorFit, fit_prior
from vaekit.estimator.rows import Fitted, hold_out
from vaekit.runtime.randomness import seeded
from vaekit.sentence import build_vae, parse

__all__ = ["PriorFitting"]


class PriorFitting(Fitted):
    """What replaces the prior."""

    def fit_prior(
        self,
        prior: str,
        X: Any,
        *,
        conditions: Any = None,
        validation: Any = None,
        validation_conditions: Any = None,
        random_state: int | None = None,
    ) -> Self:
        r"""Replace the prior by one fitted to the aggregate posterior :math:`\frac 1 n \sum_i q(z \mid x_i)`.

        Encoder and decoder stay as they are; what is sampled, scored and saved from then on is the model with the
        new prior. See :mod:`vaekit.aggregate`; ``prior_fit_`` says how well it went.

        Parameters
        ----------
        prior
            A spec such as ``gmm:components=10``, ``flow`` or ``two-stage``; for codes, ``autoregressive``.
        X
            The training data, as a rule.
        conditions, validation_conditions
            As for :meth:`fit`.
        validation
            Held-out data to stop early by. None: a tenth of ``X``, the rows that :meth:`fit` holds out of it.
            False: none at all.
        random_state
            Of all noise; by default it follows from the estimator's. The same seed gives the same bytes on the CPU.

        Raises
        ------
        UsageError
            For a prior that cannot be understood, does not fit the posterior, or has nothing to fit.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vaekit import VariationalAutoencoder
        >>> x = load_iris().data
        >>> vae = VariationalAutoencoder(latent=2, epochs=3, random_state=0).fit(x)
        >>> str(vae.fit_prior("gmm:components=2", x).sentence_.prior)
        'gmm:components=2'
        """
        rows, held_out = self._rows(X, conditions), None
        if validation is None:
            rows, held_out = hold_out(rows, self.seed_)
        elif validation is not False:
            held_out = self._rows(validation, validation_conditions)
        x, c = self._tensors(rows)
        held_out_x, held_out_c = (None, None) if held_out is None else self._tensors(held_out)
        sentence = replace(self.sentence_, prior=parse("prior", prior))
        seed = self.seed_ + 3 if random_state is None else random_state
        shape, log_jacobian = self.schema_.model_event_shape, self.schema_.log_jacobian
        with seeded(seed):  # a whole model, so that all that a sentence is refused for is looked at
            fresh = build_vae(
                sentence, shape, int(self.latent), log_jacobian=log_jacobian, condition=self._width()
            ).parts["prior"]
        c = None if c is None else self._filled(x, c)
        if held_out_x is not None and held_out_c is not None:
            held_out_c = self._filled(held_out_x, held_out_c)
        self.prior_fit_: PriorFit = fit_prior(
            self.model_, fresh, x, held_out_x, seed=seed, c=c, held_out_c=held_out_c
        )
        self.sentence_, self._progress = sentence, None
        return self
