"""All laws over one model, and over sentences."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import torch
from torch import Tensor

from vaekit.conformance import bounds, laws
from vaekit.conformance.finding import LawResult
from vaekit.errors import UsageError
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae

__all__ = ["check", "check_sentence", "sentences", "summarise"]

_LAWS: tuple[Callable[[Any, Tensor], LawResult], ...] = (
    laws.results_have_one_number_an_example,
    laws.encode_is_deterministic,
    laws.examples_do_not_know_each_other,
    laws.every_example_has_its_own_noise,
    laws.posterior_integrates_to_one,
    laws.prior_integrates_to_one,
    laws.likelihood_has_a_score_of_mean_zero,
    bounds.bounds_are_ordered,
)


@torch.no_grad()
def check(
    model: Any, x: Tensor, *, loss: Callable[[Tensor], Tensor] | None = None, seed: int = 0
) -> list[LawResult]:
    r"""Hold a variational autoencoder to the laws.

    Parameters
    ----------
    model
        A :class:`vaekit.VAE`, or anybody's as :class:`~vaekit.conformance.ThreeCallables`; in evaluation mode.
    x
        ``(batch, *event)``, some 16 to 200 examples that the likelihood accepts.
    loss
        What it is trained on, if that is to be checked too: from ``x`` to a scalar or one number an example.
    seed
        Of all noise; the same seed gives the same findings.

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
                findings.append(bounds.loss_is_the_negative_bound(model, x, loss))
    return findings


def check_sentence(sentence: Sentence, *, seed: int = 0) -> list[LawResult]:
    """Build a small model of a sentence, draw data from it, and hold it to the laws.

    A sentence that is refused when it is built gives one finding, with the reason.
    """
    with seeded(seed):
        try:
            model = build_vae(sentence, (1, 3, 4), latent=4).eval()
        except UsageError as refusal:
            return [LawResult("it can be built", "not checked", str(refusal))]
        x = model.sample(24)
    return check(model, x, seed=seed)


def sentences(sampled: int, seed: int = 0, **fixed: str) -> list[dict[str, str]]:
    """Choose sentences from the grid of all parts, each kind about as often as any other of its room.

    Parameters
    ----------
    sampled
        How many.
    seed
        Of the choice.
    fixed
        Specs by room that all of them share.
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
