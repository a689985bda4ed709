"""The check of a model or a sentence of parts: all laws, one after the other, and a count of what they found."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import torch
from torch import Tensor

from vaekit.conformance import laws
from vaekit.conformance.finding import LawResult
from vaekit.errors import UsageError
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae

__all__ = ["ThreeCallables", "check", "check_sentence", "sentences", "summarise"]

_LAWS: tuple[Callable[[Any, Tensor], LawResult], ...] = (
    laws.results_have_one_number_an_example,
    laws.encode_is_deterministic,
    laws.examples_do_not_know_each_other,
    laws.every_example_has_its_own_noise,
    laws.posterior_integrates_to_one,
    laws.prior_integrates_to_one,
    laws.likelihood_has_a_score_of_mean_zero,
    laws.bounds_are_ordered,
)


class ThreeCallables:
    r"""``encode``, ``prior`` and ``decode`` of any VAE, as an object that vaekit can evaluate.

    ``decode`` is only ever called with one batch dimension, whatever the number of importance samples.

    Parameters
    ----------
    encode
        From ``(batch, *event)`` to a distribution of batch shape ``(batch,)``.
    prior
        From nothing to a distribution over :math:`z`; a distribution itself will do.
    decode
        From ``(batch, *latent)`` to a distribution of batch shape ``(batch,)`` over :math:`x`.

    Examples
    --------
    >>> from torch.distributions import Bernoulli, Independent, Normal
    >>> import vaekit.evaluation
    >>> model = ThreeCallables(
    ...     encode=lambda x: Independent(Normal(x[:, :2], 1.0), 1),
    ...     prior=Independent(Normal(torch.zeros(2), 1.0), 1),
    ...     decode=lambda z: Independent(Bernoulli(logits=z @ torch.ones(2, 3)), 1),
    ... )
    >>> vaekit.evaluation.log_likelihood(model, torch.ones(5, 3), samples=7).values.shape
    torch.Size([5])
    """

    def __init__(
        self, encode: Callable[[Tensor], Any], prior: Callable[[], Any] | Any, decode: Callable[[Tensor], Any]
    ) -> None:
        self._encode, self._prior, self._decode = encode, prior, decode

    def encode(self, x: Tensor, c: Tensor | None = None) -> Any:
        r"""Return :math:`q(z \mid x)`."""
        return self._encode(x)

    def prior(self, c: Tensor | None = None) -> Any:
        """Return :math:`p(z)`."""
        return self._prior() if callable(self._prior) else self._prior

    def decode(self, z: Tensor, c: Tensor | None = None) -> Any:
        r"""Return :math:`p(x \mid z)` for ``z`` of shape ``(..., batch, *latent)``."""
        event = len(self.prior().event_shape)
        batch_shape = z.shape[: z.dim() - event]
        if len(batch_shape) == 1:
            return self._decode(z)
        return _Reshaped(self._decode(z.flatten(0, len(batch_shape) - 1)), batch_shape)


@torch.no_grad()
def check(
    model: Any, x: Tensor, *, loss: Callable[[Tensor], Tensor] | None = None, seed: int = 0
) -> list[LawResult]:
    r"""Test the laws on a variational autoencoder.

    Parameters
    ----------
    model
        A :class:`vaekit.VAE`, or anybody's as :class:`~vaekit.conformance.ThreeCallables`; in evaluation mode.
    x
        ``(batch, *event)``, some 16 to 200 examples that the likelihood accepts.
    loss
        The loss that the model is trained on, if it is to be checked too: from ``x`` to a scalar or one number an
        example.
    seed
        The seed of all noise; the same seed gives the same findings.

    Returns
    -------
    list of LawResult

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8"), (6,), latent=2)
    >>> {finding.outcome for finding in check(model, torch.rand(20, 6).round())}
    {'holds'}
    """
    with seeded(seed):
        findings = [_LAWS[0](model, x)]
        if findings[0].outcome == "holds":
            findings += [law(model, x) for law in _LAWS[1:]]
            if loss is not None:
                findings.append(laws.loss_is_the_negative_bound(model, x, loss))
    return findings


def check_sentence(sentence: Sentence, *, seed: int = 0) -> list[LawResult]:
    """Build a small model of a sentence, draw data from it, and test the laws on it.

    A sentence that cannot be built gives one finding, with the reason.
    """
    with seeded(seed):
        try:
            model = build_vae(sentence, (1, 3, 4), latent=4).eval()
        except UsageError as refusal:
            return [LawResult("it can be built", "not checked", str(refusal))]
        x = model.sample(24)
    return check(model, x, seed=seed)


def sentences(sampled: int, seed: int = 0, **fixed: str) -> list[dict[str, str]]:
    """Choose sentences at random from the grid of all parts.

    Parameters
    ----------
    sampled
        The number of sentences.
    seed
        The seed of the choice.
    fixed
        Specs by room that all sentences share.
    """
    small = {"mlp": "mlp:hidden=6", "convolutional": "convolutional:channels=3,hidden=6"}
    kinds = {
        room: [fixed[room]] if room in fixed else [small.get(kind, kind) for kind in parts]
        for room, parts in PARTS.items()
    }
    grid = [dict(zip(kinds, chosen, strict=True)) for chosen in product(*kinds.values())]
    return grid if len(grid) <= sampled else random.Random(seed).sample(grid, sampled)


def summarise(findings: Iterable[LawResult]) -> dict[str, int]:
    """Count findings by outcome.

    Examples
    --------
    >>> summarise([LawResult("a", "holds", ""), LawResult("b", "holds", ""), LawResult("c", "broken", "")])
    {'holds': 2, 'broken': 1, 'not checked': 0}
    """
    counts = Counter(finding.outcome for finding in findings)
    return {outcome: counts[outcome] for outcome in ("holds", "broken", "not checked")}


class _Reshaped:
    """A distribution of one batch dimension, reshaped to several."""

    def __init__(self, distribution: Any, batch_shape: torch.Size) -> None:
        self._distribution, self._batch_shape = distribution, batch_shape

    def log_prob(self, x: Tensor) -> Tensor:
        event = self._distribution.event_shape
        wide = x.expand(*self._batch_shape, *event).reshape(-1, *event)
        return self._distribution.log_prob(wide).reshape(self._batch_shape)

    def sample(self) -> Tensor:
        drawn = self._distribution.sample()
        return drawn.reshape(*self._batch_shape, *drawn.shape[1:])
