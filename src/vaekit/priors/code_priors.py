r"""Priors over codes: independent positions, or each position given the ones before it.

.. math:: \text{categorical}: p(k) = \prod_{i=1}^P \pi_{i, k_i}, \qquad
          \text{autoregressive}: p(k) = \prod_{i=1}^P p(k_i \mid k_1, \dots, k_{i-1})

The first is uniform or learned. The second is a masked network: van den Oord et al. (2017), section 3.4, fit
such a prior to the codes of a trained model; here it is trained with the model, or afterwards on the codes of
its posterior.
"""

from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Prior, PriorTraits
from vaekit.distributions import AutoregressiveCodes, CategoricalCodes, CodeSpace
from vaekit.errors import UsageError
from vaekit.networks.masked import MaskedNetwork
from vaekit.networks.network_inputs import require_condition

__all__ = ["AutoregressivePrior", "CategoricalPrior"]


class CategoricalPrior(nn.Module, Prior):
    """``categorical``: independent positions of a code space.

    The posterior decides how codes are written as latents; its code space is given at every call.

    Parameters
    ----------
    positions, codes
        The numbers of positions and of codes of the posterior.
    condition
        The number of numbers in a condition; 0: the prior has none. Uniform masses do not depend on it.
    masses
        ``uniform``: all codes have the same mass; ``learned``: each position has its own masses, uniform at
        first.

    Raises
    ------
    UsageError
        For an unknown value of ``masses``; and when called, if the posterior has no codes.

    Examples
    --------
    >>> from vaekit.distributions import OneHotCodes
    >>> prior = CategoricalPrior(2, 4)
    >>> p = prior(codebook=OneHotCodes(2, 4))
    >>> p.log_prob(p.sample()) / torch.tensor(4.0).log()
    tensor(-2.)
    """

    traits = PriorTraits(space="codes", needs=frozenset({"codebook"}))
    logits: Tensor

    def __init__(
        self,
        positions: int,
        codes: int,
        condition: int = 0,
        *,
        masses: Literal["uniform", "learned"] = "uniform",
    ) -> None:
        super().__init__()
        if masses not in ("uniform", "learned"):
            raise UsageError(f"categorical: masses={masses!r}; there are uniform and learned")
        if masses == "learned":
            self.logits = nn.Parameter(torch.zeros(positions, codes))
            if condition:
                self.of_condition = nn.Parameter(torch.zeros(condition, positions, codes))
                self.traits = replace(self.traits, needs=self.traits.needs | {"condition"})
        else:
            self.register_buffer("logits", torch.zeros(positions, codes), persistent=False)

    def forward(self, *, codebook: CodeSpace | None, condition: Tensor | None = None) -> Distribution:
        """Return the prior over the latents of a code space; with conditions ``(batch, d)``, one for each."""
        logits = self.logits
        if "condition" in self.traits.needs:
            logits = logits + torch.einsum("...d,dpk->...pk", require_condition(condition), self.of_condition)
        return CategoricalCodes(logits, check_codebook("categorical", codebook))


def check_codebook(kind: str, codebook: CodeSpace | None) -> CodeSpace:
    """Refuse a posterior without codes.

    Raises
    ------
    UsageError
        If ``codebook`` is None.
    """
    if codebook is None:
        raise UsageError(
            f"the prior {kind} is over codes, but the posterior has none; use posterior=quantized or categorical"
        )
    return codebook


class AutoregressivePrior(nn.Module, Prior):
    """``autoregressive``: each code given the ones before it, with exact masses and exact draws.

    It is uniform at first. It can also be built after training and fitted to codes, by maximising its
    ``log_prob`` of ``model.encode(x).sample()``.

    Parameters
    ----------
    positions, codes
        The numbers of positions and of codes of the posterior.
    condition
        The number of numbers in a condition; 0: the prior has none.
    hidden
        Sizes of the hidden layers of the masked network.

    Raises
    ------
    UsageError
        If a hidden layer has no unit; and when called, if the posterior has no codes.

    Examples
    --------
    >>> import torch
    >>> from vaekit.distributions import OneHotCodes
    >>> p = AutoregressivePrior(3, 4, hidden=(8,))(codebook=OneHotCodes(3, 4))
    >>> p.log_prob(p.sample(torch.Size((5,)))).shape
    torch.Size([5])
    """

    traits = PriorTraits(space="codes", needs=frozenset({"codebook"}))

    def __init__(
        self, positions: int, codes: int, condition: int = 0, *, hidden: tuple[int, ...] = (256,)
    ) -> None:
        super().__init__()
        if any(size < 1 for size in hidden):
            raise UsageError(
                f"autoregressive: hidden={'x'.join(map(str, hidden))} has a layer without units; give sizes of at "
                "least 1, such as hidden=256"
            )
        self.network = MaskedNetwork(positions, codes, hidden=hidden, condition=condition)
        if condition:
            self.traits = replace(self.traits, needs=self.traits.needs | {"condition"})

    def forward(self, *, codebook: CodeSpace | None, condition: Tensor | None = None) -> Distribution:
        """Return the prior over the latents of a code space; with conditions ``(batch, d)``, one for each."""
        codebook = check_codebook("autoregressive", codebook)
        like = next(self.network.parameters())
        if "condition" not in self.traits.needs:
            return AutoregressiveCodes(self.network, codebook, like)
        c = require_condition(condition)
        return AutoregressiveCodes(partial(self.network, condition=c), codebook, like, c.shape[:-1])
