"""The steps of an objective's second player: a network of its own, with an optimiser of its own."""

from typing import Any, cast

from torch import Tensor, nn

from vaekit.objectives import Objective, Opposed
from vaekit.runtime.randomness import seeded
from vaekit.training.fused_adam import FusedAdam
from vaekit.training.world import ALONE, World
from vaekit.vae import VAE

__all__ = ["OpponentSteps", "has_opponent"]

_BETAS = (0.5, 0.9)  # of Adam: Kim and Mnih (2018), appendix A; a first moment that follows a moving target


def has_opponent(objective: Objective) -> bool:
    """Whether an objective owns a second player."""
    return isinstance(objective, Opposed)


class OpponentSteps:
    """Builds an objective's opponent unless it has one, and trains it.

    Parameters
    ----------
    objective
        One with an opponent (see :class:`vaekit.objectives.Objective`).
    model
        What it plays against.
    learning_rate
        Of its Adam; moved with the model's by :meth:`set_learning_rate`.
    seed
        Of its initial parameters.

    Attributes
    ----------
    world : World
        The processes that train together; a batch is this one's slice.
    """

    world: World = ALONE

    def __init__(self, objective: Any, model: VAE, *, learning_rate: float, seed: int) -> None:
        if objective.opponent is None:
            with seeded(seed):
                objective.build_opponent(model)
        self.objective, self.model = objective, model
        self.opponent = cast(nn.Module, objective.opponent)
        self.optimizer = FusedAdam(self.opponent.parameters(), learning_rate, betas=_BETAS)

    def step(self, x: Tensor, c: Tensor | None = None) -> None:
        """Take one step on a batch; the gradients of the model stay what they are."""
        with self.world.sharing(self.model):
            loss = self.objective.opponent_loss(self.model, x, c).mean()
        self.optimizer.zero_grad(set_to_none=True)
        self.world.weigh(loss).backward(inputs=list(self.opponent.parameters()))
        self.world.add_gradients(self.opponent.parameters())
        self.optimizer.step()

    def set_learning_rate(self, rate: float) -> None:
        """Move the learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Everything a checkpoint needs: the opponent's weights and its optimiser's state."""
        return {"opponent": self.opponent.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.opponent.load_state_dict(state["opponent"])
        self.optimizer.load_state_dict(state["optimizer"])
