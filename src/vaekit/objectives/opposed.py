r"""Objectives with a second player: a network that learns against the model, such as a discriminator.

The two never share a gradient. The model's step differentiates the opponent's verdict with respect to what is
judged, with the opponent's parameters held fixed; the opponent's step sees what the model gives as data. Goodfellow
et al. (2014), "Generative Adversarial Nets", algorithm 1.
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
    """What objectives with an opponent have in common; abstract.

    The opponent is built by :meth:`build_opponent`, which the training loop calls once, and is trained by it on
    :meth:`opponent_loss`, one step after each of the model's.

    Attributes
    ----------
    opponent : nn.Module or None
        None until it is built.
    """

    kind: str
    opponent: nn.Module | None = None

    @abstractmethod
    def new_opponent(self, model: VAE) -> nn.Module:
        """Make a network with fresh parameters from torch's global generator, for what ``model`` gives."""

    @abstractmethod
    def opponent_loss(self, model: VAE, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Evaluate what the opponent minimises, ``(batch,)``, in nats; no gradient reaches the model."""

    def build_opponent(self, model: VAE) -> None:
        """Make the opponent, on the model's device and of its type."""
        like = next(model.parameters(), torch.zeros(()))
        self.opponent = self.new_opponent(model).to(like)

    def player(self) -> nn.Module:
        """Return the opponent, for its own step.

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
        """Return the opponent's verdict on ``value``; its gradient flows into ``value`` and not into the opponent."""
        opponent = self.player()
        fixed = {name: parameter.detach() for name, parameter in opponent.named_parameters()}
        return functional_call(opponent, fixed, (value,))


def check_layers(
    kind: str, sizes: tuple[int, ...], name: str = "hidden", *, at_least_one: bool = False
) -> tuple[int, ...]:
    """Return the sizes back, or refuse a layer without units.

    Raises
    ------
    UsageError
        If one is below 1, or there is none where there must be.
    """
    if any(size < 1 for size in sizes) or (at_least_one and not sizes):
        raise UsageError(
            f"{kind}: {name}={'x'.join(map(str, sizes)) or 'none'} leaves the discriminator a layer without units; "
            f"give sizes of at least 1, such as {name}=64x64"
        )
    return sizes
