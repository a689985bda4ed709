r"""The number of codes that a model uses: perplexity, and a warning where they have collapsed.

With :math:`\bar\pi_k` the share of code :math:`k` of a codebook, over the examples and the positions that it serves,

.. math:: \text{perplexity} = \exp\Bigl(-\sum_k \bar\pi_k \log \bar\pi_k\Bigr),

which is 1 where all examples have one code, and the number of codes where all are used equally often.
"""

import warnings
from typing import NamedTuple, cast

import torch
from torch import Tensor

from vaekit.distributions import CategoricalCodes
from vaekit.errors import CodeCollapseWarning
from vaekit.vae import VAE

__all__ = ["CodeUsage", "code_usage", "warn_of_collapse"]

_COLLAPSED = 0.1  # of the codes: a perplexity below


class CodeUsage(NamedTuple):
    """The use of a model's codes by a data set, one number a codebook.

    Parameters
    ----------
    codes
        The number of codes in each codebook.
    perplexity
        The perplexity of each codebook. A codebook may serve several positions; a categorical variable has one of its
        own.
    used
        The number of codes of each codebook that are the most probable one of some example.
    """

    codes: int
    perplexity: list[float]
    used: list[int]

    @property
    def collapsed(self) -> list[int]:
        """The indices of the codebooks whose perplexity is below a tenth of their codes, or hardly above 1."""
        limit = max(1.05, _COLLAPSED * self.codes)
        return [i for i, value in enumerate(self.perplexity) if value < limit]


@torch.no_grad()
def code_usage(model: VAE, x: Tensor, *, c: Tensor | None = None, batch_size: int = 1024) -> CodeUsage | None:
    """Measure how a data set uses the codes of a model.

    Parameters
    ----------
    model
        In evaluation mode.
    x
        ``(n, *event)``, at least one example.
    c
        Condition, ``(n, ...)``.
    batch_size
        Examples at a time.

    Returns
    -------
    CodeUsage or None
        None where the latents are not codes.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> sentence = Sentence.parse(network="mlp:hidden=none", posterior="quantized:codes=4")
    >>> model = build_vae(sentence, (3,), latent=2).eval()
    >>> usage = code_usage(model, torch.ones(5, 3))
    >>> usage.codes, len(usage.perplexity), usage.used[0] <= 2
    (4, 1, True)
    """
    codebook = model.posterior_part.codebook
    if codebook is None:
        return None
    total = torch.zeros(codebook.positions, codebook.codes, dtype=torch.float64, device=x.device)
    seen = torch.zeros_like(total)
    for start in range(0, len(x), batch_size):
        part = slice(start, start + batch_size)
        # any distribution over codes has both attributes
        q = cast(CategoricalCodes, model.encode(x[part], None if c is None else c[part]))
        total += q.probs.double().sum(0)
        best = torch.nn.functional.one_hot(q.codes, codebook.codes)
        seen += best.sum(0)
    share = codebook.pool(total / len(x))
    entropy = -torch.xlogy(share, share).sum(-1)
    return CodeUsage(
        codes=codebook.codes,
        perplexity=entropy.exp().tolist(),
        used=(codebook.pool(seen) > 0).sum(-1).tolist(),
    )


def warn_of_collapse(usage: CodeUsage | None) -> None:
    """Warn, with :class:`~vaekit.errors.CodeCollapseWarning`, where codes have collapsed.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_collapse(CodeUsage(512, [30.0], [40]))
    >>> print(str(caught[0].message).partition(":")[0])
    codes have collapsed
    """
    if usage is None or not usage.collapsed:
        return
    shown = ", ".join(f"{usage.perplexity[i]:.2f}" for i in usage.collapsed[:5])
    more = ", ..." if len(usage.collapsed) > 5 else ""
    many = len(usage.perplexity) > 1
    which = f" in {len(usage.collapsed)} of {len(usage.perplexity)} codebooks" if many else ""
    warnings.warn(
        f"codes have collapsed: perplexity {shown}{more} of {usage.codes} codes{which}; give fewer codes, a smaller "
        "`revive` or another `commitment` to a quantised posterior, a higher temperature to a categorical one, or a "
        "smaller learning rate",
        CodeCollapseWarning,
        stacklevel=3,
    )
