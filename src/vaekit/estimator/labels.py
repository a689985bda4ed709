r"""Labels that are missing, of a model that has learned them: the most probable, or all of them.

.. math:: \log p(x) = \log \sum_y p(y)\, p(x \mid y), \qquad p(y) \text{ uniform}
"""

from math import log

import torch
from torch import Tensor

from vaekit.data import ConditionSchema
from vaekit.errors import UsageError
from vaekit.evaluation import log_likelihood
from vaekit.runtime.randomness import seeded
from vaekit.runtime.rows import chunks
from vaekit.sentence import Sentence
from vaekit.vae import VAE

__all__ = ["check_labels", "fill_labels", "learns_labels", "marginal_log_likelihood"]


def learns_labels(sentence: Sentence) -> bool:
    """Whether the model has a classifier, so that labels may be missing."""
    return sentence.objective.part.traits.needs_classifier


def check_labels(sentence: Sentence, conditions: ConditionSchema | None) -> None:
    """Refuse to learn labels of anything but one categorical condition.

    Raises
    ------
    UsageError
        For none, several, or a continuous one.
    """
    told = () if conditions is None else conditions.conditions
    if len(told) == 1 and told[0].categories is not None:
        return
    found = "; ".join(condition.describe() for condition in told) or "none"
    raise UsageError(
        f"objective {sentence.objective.kind} learns the labels of one categorical condition, and the model has "
        f"{found}; give one, such as condition=labels or NAME:categorical"
    )


@torch.no_grad()
def fill_labels(model: VAE, x: Tensor, c: Tensor) -> Tensor:
    """Put the most probable label, one-hot, where ``c`` of shape ``(n, labels)`` has none."""
    guessed = torch.cat([model.classify(x[rows]).logits.argmax(1) for rows in chunks(len(x))])
    one_hot = torch.nn.functional.one_hot(guessed, c.shape[1]).to(c.dtype)
    return torch.where((c != 0).any(1, keepdim=True), c, one_hot)


def marginal_log_likelihood(model: VAE, x: Tensor, *, labels: int, samples: int, seed: int) -> Tensor:
    r"""Estimate :math:`\log p(x)` of rows without a label, ``(n,)`` in nats, under each label with the same noise."""
    found = []
    for label in range(labels):
        c = torch.zeros(len(x), labels, dtype=x.dtype, device=x.device)
        c[:, label] = 1
        with seeded(seed):
            found.append(log_likelihood(model, x, c=c, samples=samples, common_noise=True).values)
    return torch.stack(found).logsumexp(0) - log(labels)
