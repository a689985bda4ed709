r"""Learning from rows of which only some have a label, with a classifier that is part of the model.

Kingma, Mohamed, Rezende and Welling (2014), "Semi-supervised Learning with Deep Generative Models", model M2:
:math:`p(x, y, z) = p(x \mid y, z)\, p(y)\, p(z)`, with the classifier :math:`q(y \mid x)`. With

.. math:: L(x, y) = \mathbb E_{q(z \mid x, y)}[\log p(x \mid y, z) + \log p(y) + \log p(z) - \log q(z \mid x, y)]
          \le \log p(x, y),

equation 6, a row with a label contributes :math:`L(x, y)`, and one without, equation 7,

.. math:: U(x) = \sum_y q(y \mid x)\, L(x, y) + \mathrm H(q(y \mid x)) \le \log p(x).

Equation 8 is their sum. Equation 9 adds :math:`\alpha \log q(y \mid x)` for rows with a label, from which the
classifier would otherwise learn nothing. :math:`p(y)` is uniform.
"""

import torch
from torch import Tensor

from vaekit.contracts import Objective, ObjectiveResult, ObjectiveTraits
from vaekit.errors import UsageError
from vaekit.language.schedules import Annealed, Schedule, check_scalar
from vaekit.objectives.building_blocks import subtract_auxiliary_loss
from vaekit.objectives.divergence import divergence
from vaekit.vae import VAE

__all__ = ["SemiSupervised"]


class SemiSupervised(Annealed, Objective):
    r"""``m2``: bounds of :math:`\log p(x, y)` where the label is known, of :math:`\log p(x)` where it is not.

    The condition is the label, one-hot, or all zeros where it is missing. Every row is evaluated under every
    label at once, so that a batch takes as many times the memory as there are labels. The ``kl`` of a result
    is that of label and latent together, :math:`\mathrm{KL}(q(y, z \mid x) \,\|\, p(y)\, p(z))`, where the
    :math:`q(y \mid x)` of a known label is certain: reconstruction minus ``kl`` is the bound. Its dimensions
    are those of the latent alone.

    Parameters
    ----------
    alpha
        The weight of the classifier's log-likelihood in the surrogate. In the paper it is 0.1 times the
        number of rows for the mean over rows with a label; so in training each of these has :math:`\alpha`
        times the number of rows over the number with a label as its weight, and outside training
        :math:`\alpha`.

    Raises
    ------
    UsageError
        If it is negative or not finite.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> sentence = Sentence.parse(network="mlp:hidden=8", objective="m2")
    >>> model = build_vae(sentence, (3,), latent=2, condition=2)
    >>> labels = torch.tensor([[1.0, 0.0], [0.0, 0.0]])  # of the second row it is missing
    >>> SemiSupervised()(model, torch.ones(2, 3), labels).bound.shape
    torch.Size([2])
    """

    traits = ObjectiveTraits(needs_classifier=True)
    alpha: float

    def __init__(self, *, alpha: float | Schedule = 0.1) -> None:
        check_scalar(
            "m2", "alpha", alpha, meaning="0.1 is the paper's; 0: labelled rows do not teach the classifier"
        )
        super().__init__(alpha=alpha)
        self.rows_a_label = 1.0

    def count_labels(self, c: Tensor) -> None:
        """Count the labels of the training rows, ``(rows, labels)``; the training loop calls this once."""
        self.rows_a_label = len(c) / max(1, int((c != 0).any(1).sum()))

    def check(self, model: VAE) -> None:
        """Refuse a model without a classifier.

        Raises
        ------
        UsageError
            If it has none.
        """
        if model.classifier is None:
            raise UsageError("m2 needs a classifier q(y|x), which a model without a condition does not have")

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)`` and labels of ``(batch, labels)``."""
        if c is None:
            raise UsageError("m2: give a label for every example, one-hot, or zeros where it is missing")
        batch, labels = c.shape
        known = (c != 0).any(1)
        log_q = model.classify(x).logits
        weight = torch.where(known[:, None], c.to(log_q.dtype), log_q.exp())
        entropy = torch.where(known, 0.0, -(log_q.exp() * log_q).sum(1))

        def mean(values: Tensor) -> Tensor:
            """Average over labels with the probabilities of each row."""
            return torch.einsum("lb...,bl->b...", values.reshape(labels, batch, *values.shape[1:]), weight)

        every_x = x.expand(labels, *x.shape).reshape(labels * batch, *x.shape[1:])
        every_y = torch.eye(labels, dtype=x.dtype, device=x.device).repeat_interleave(batch, 0)
        q, p = model.encode(every_x, every_y), model.prior(every_y)
        z = q.rsample()
        likelihood = model.decode(z, every_y).log_prob(every_x)
        kl, per_dimension = divergence(q, p, z)
        uniform = log_q.new_tensor(labels).log()
        bound = mean(likelihood - kl) + entropy - uniform
        surrogate = mean(subtract_auxiliary_loss(likelihood - kl, q, p)) + entropy - uniform
        taught = self.alpha * self.rows_a_label * (c.to(log_q.dtype) * log_q).sum(1)
        return ObjectiveResult(
            bound,
            surrogate + taught,
            mean(likelihood),
            mean(kl) - entropy + uniform,
            None if per_dimension is None else mean(per_dimension),
        )
