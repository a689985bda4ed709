r"""The autoregressive prior over codes, :math:`p(k) = \prod_i p(k_i \mid k_1, \dots, k_{i-1})`, by a masked network.

Van den Oord et al. (2017), section 3.4, fit such a prior to the codes of a trained model; here it is trained with
the model, or afterwards to the codes of its posterior.
"""

from dataclasses import replace
from functools import partial

from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts import Prior, PriorTraits
from vaekit.distributions import AutoregressiveCodes, CodeSpace
from vaekit.errors import UsageError
from vaekit.networks.conditioned import require_condition
from vaekit.networks.masked import MaskedNetwork
from vaekit.priors.categorical import check_codebook

__all__ = ["AutoregressivePrior"]


class AutoregressivePrior(nn.Module, Prior):
    """``autoregressive``: each code given the ones before it, with exact masses and exact draws.

    It is uniform at first. Built from numbers alone, it can be made after training and fitted to codes: its
    ``log_prob`` of ``model.encode(x).sample()`` is what to maximise.

    Parameters
    ----------
    positions, codes
        Of the posterior.
    condition
        How many numbers a condition has; 0: the prior has none.
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
        """Give the prior over the latents of a code space, one for each condition ``(batch, d)``."""
        codebook = check_codebook("autoregressive", codebook)
        like = next(self.network.parameters())
        if "condition" not in self.traits.needs:
            return AutoregressiveCodes(self.network, codebook, like)
        c = require_condition(condition)
        return AutoregressiveCodes(partial(self.network, condition=c), codebook, like, c.shape[:-1])
