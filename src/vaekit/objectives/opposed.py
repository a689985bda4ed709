"""Objectives with an opponent: a network that learns against the model, such as a discriminator.

Model and opponent never share a gradient. The model's step differentiates the opponent's output with respect
to its input, with the parameters of the opponent fixed; the opponent's step treats the output of the model as
data. Goodfellow et al. (2014), "Generative Adversarial Nets", algorithm 1.
"""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vaekit.contracts import Objective
from vaekit.errors import UsageError
from vaekit.language.schedules import Annealed
from vaekit.vae import VAE

__all__ = ["Opposed", "check_layers"]


class Opposed(Annealed, Objective):
    """An objective with an opponent. Abstract.

    The training loop calls :meth:`build_opponent` once, and after each of the model's steps takes one step of
    the opponent on :meth:`opponent_loss`.

    Attributes
    ----------
    opponent : nn.Module or None
        The opponent; None until it is built.
    """

    kind: str
    opponent: nn.Module | None = None

    @abstractmethod
    def new_opponent(self, model: VAE) -> nn.Module:
        """Return a network for the outputs of ``model``, with new parameters from torch's global generator."""

    @abstractmethod
    def opponent_loss(self, model: VAE, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Return the loss of the opponent, ``(batch,)``, in nats; no gradient reaches the model."""

    def build_opponent(self, model: VAE) -> None:
        """Build the opponent, on the model's device and in its type."""
        like = next(model.parameters(), torch.zeros(()))
        self.opponent = self.new_opponent(model).to(like)

    def player(self) -> nn.Module:
        """Return the opponent itself, for its own step.

        Raises
        ------
        UsageError
            If it is not built yet.
        """
        if self.opponent is None:
            raise UsageError(
                f"{self.kind}: the discriminator is not built; call build_opponent(model) first, as the training "
                "loop does"
            )
        return self.opponent

    def judge(self, value: Tensor) -> Tensor:
        """Return the opponent's output for ``value``; gradients flow into ``value`` and not into the opponent."""
        opponent = self.player()
        fixed = {name: parameter.detach() for name, parameter in opponent.named_parameters()}
        return functional_call(opponent, fixed, (value,))


def check_layers(
    kind: str, sizes: tuple[int, ...], name: str = "hidden", *, at_least_one: bool = False
) -> tuple[int, ...]:
    """Return the sizes, or refuse a layer without units.

    Raises
    ------
    UsageError
        If one is below 1, or there is none although ``at_least_one`` is set.
    """
    if any(size < 1 for size in sizes) or (at_least_one and not sizes):
        raise UsageError(
            f"{kind}: {name}={'x'.join(map(str, sizes)) or 'none'} leaves the discriminator a layer without units; "
            f"give sizes of at least 1, such as {name}=64x64"
        )
    return sizes
