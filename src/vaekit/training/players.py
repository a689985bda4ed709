r"""All that a training step moves: the model, its optimiser, the average of its weights, and an opponent.

The average (Polyak and Juditsky, 1992) is evaluated and kept in the place of the weights:

.. math::

    \bar\theta_t = \beta_t \bar\theta_{t-1} + (1 - \beta_t)\, \theta_t, \qquad
    \beta_t = \min\!\left(\beta, \frac{t}{9 + t}\right), \quad t = 1, 2, \ldots

where the second argument forgets the first, random weights in a short run: after the first step the average
is nine tenths of the weights already.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import (
    Tensor,
    _foreach_lerp_,  # pyright: ignore
    nn,
)

from vaekit.objectives import Objective, Opposed
from vaekit.runtime.randomness import seeded
from vaekit.runtime.spread import local_part, placed_like
from vaekit.training.optimizing import Optimizer, adam
from vaekit.training.world import ALONE, World
from vaekit.vae import VAE

__all__ = ["OpponentSteps", "Players", "StepState", "WeightAverage", "has_opponent", "placed_in"]

_OPPONENT_BETAS = (
    0.5,
    0.9,
)  # of Adam: Kim and Mnih (2018), appendix A; a first moment that follows a moving target


class WeightAverage:
    r"""The average of a model's weights, in a model of its own.

    torch's ``AveragedModel`` reads the number of steps back from the device at every one of them.

    Parameters
    ----------
    model
        The model whose weights are averaged.
    decay
        :math:`\beta`.
    into
        A copy of the model, to be averaged in; by default one is made.

    Attributes
    ----------
    model : VAE
        The averaged one.
    steps : int
        The number of steps that were averaged.
    """

    def __init__(self, model: VAE, decay: float, *, into: VAE | None = None) -> None:
        self.model = (deepcopy(model) if into is None else into).requires_grad_(False).eval()
        self.decay = decay
        self.steps = 0
        self._pairs = [
            [local_part(value) for value in part.state_dict().values() if value.is_floating_point()]
            for part in (self.model, model)
        ]

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's weights and buffers after a step into the average."""
        self.steps += 1
        decay = min(self.decay, self.steps / (9 + self.steps))
        average, weights = self._pairs
        _foreach_lerp_(average, weights, 1 - decay)


def has_opponent(objective: object) -> bool:
    """Return whether an objective, or a class of objectives, has a second player.

    >>> from vaekit.objectives import Elbo, FactorizedPosterior
    >>> has_opponent(Elbo()), has_opponent(FactorizedPosterior)
    (False, True)
    """
    kind = objective if isinstance(objective, type) else type(objective)
    return issubclass(kind, Opposed)


class OpponentSteps:
    """The steps of an objective's second player: a network of its own, with an optimiser of its own.

    Parameters
    ----------
    objective
        One with an opponent (see :class:`vaekit.objectives.Opposed`), which is built unless it has been.
    model
        The model that it plays against.
    learning_rate
        The learning rate of its Adam; moved with the model's by :meth:`set_learning_rate`.
    seed
        Governs its initial parameters.

    Raises
    ------
    TypeError
        For an objective without an opponent.
    """

    def __init__(self, objective: Objective, model: VAE, *, learning_rate: float, seed: int) -> None:
        if not isinstance(objective, Opposed):
            raise TypeError(f"{type(objective).__name__} has no opponent: give a vaekit.objectives.Opposed")
        if objective.opponent is None:
            with seeded(seed):
                objective.build_opponent(model)
        self.objective: Opposed = objective
        self.model = model
        self.opponent = objective.player()
        self.optimizer = adam(self.opponent.parameters(), learning_rate, _OPPONENT_BETAS)

    def step(self, x: Tensor, c: Tensor | None = None, *, world: World = ALONE) -> None:
        """Take one step on a batch, this process's slice of it; the gradients of the model stay what they are."""
        with world.sharing(self.model):
            loss = self.objective.opponent_loss(self.model, x, c).mean()
        self.optimizer.zero_grad(set_to_none=True)
        world.weigh(loss).backward(inputs=list(self.opponent.parameters()))
        world.add_gradients(self.opponent.parameters())
        self.optimizer.step()

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Return the opponent's weights and its optimiser's state."""
        return {"opponent": self.opponent.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.opponent.load_state_dict(state["opponent"])
        self.optimizer.load_state_dict(state["optimizer"])


class StepState(NamedTuple):
    """The state of all players and of torch's generators after some steps.

    Parameters
    ----------
    tensors
        Weights, optimiser states and generators by name.
    numbers
        Counts of the optimisers and of the average, by name.
    """

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]

    def copy(self) -> "StepState":
        """Return a copy that later steps do not change."""
        return StepState({name: value.detach().clone() for name, value in self.tensors.items()}, self.numbers)

    def to(self, device: str) -> "StepState":
        """Return the same state on a device."""
        return StepState({name: value.to(device) for name, value in self.tensors.items()}, self.numbers)


class Players(NamedTuple):
    """All that learns: the model and its optimiser, and the average and the opponent where there are such."""

    model: VAE
    optimizer: Optimizer
    average: WeightAverage | None = None
    opponent: OpponentSteps | None = None

    @property
    def evaluated(self) -> VAE:
        """The model to validate and to keep: the average, where there is one."""
        return self.model if self.average is None else self.average.model

    def spread(self, world: World, build: Callable[[Iterable[nn.Parameter]], Optimizer]) -> "Players":
        """Return the players as this process trains them; ``build`` makes the optimiser of other parameters."""
        old = self.average
        model, averaged = world.spread(self.model, None if old is None else old.model)
        if model is self.model:
            return self
        average = None if old is None else WeightAverage(model, old.decay, into=averaged)
        self.model.cpu()  # room on the device; it gets the weights at the end
        return Players(model, build(model.parameters()), average, self.opponent)

    def take(self) -> StepState:
        """Return the state as it is: the tensors themselves, which later steps will move."""
        tensors: dict[str, Tensor] = {}
        numbers: dict[str, Any] = {}
        _add(tensors, "model", self.model.state_dict())
        _add_optimizer(tensors, numbers, "optimizer", self.optimizer, self.model)
        if self.average is not None:
            _add(tensors, "average", self.average.model.state_dict())
            numbers["average.steps"] = self.average.steps
        if self.opponent is not None:
            player, optimizer = self.opponent.opponent, self.opponent.optimizer
            _add(tensors, "opponent", player.state_dict())
            _add_optimizer(tensors, numbers, "opponent_optimizer", optimizer, player)
        tensors["generator.cpu"] = torch.get_rng_state()
        device = _device_of(self.model)
        if device.type == "cuda":
            tensors["generator.cuda"] = torch.cuda.get_rng_state(device)
        return StepState(tensors, numbers)

    def put(self, state: StepState) -> None:
        """Put a state back; later steps leave its own tensors alone."""
        tensors, numbers = state
        self.model.load_state_dict(placed_in(self.model, _under(tensors, "model")))
        _put_optimizer(tensors, numbers, "optimizer", self.optimizer, self.model)
        if self.average is not None:
            averaged = self.average.model
            averaged.load_state_dict(placed_in(averaged, _under(tensors, "average")))
            self.average.steps = numbers["average.steps"]
        if self.opponent is not None:
            player, optimizer = self.opponent.opponent, self.opponent.optimizer
            player.load_state_dict(_under(tensors, "opponent"))
            _put_optimizer(tensors, numbers, "opponent_optimizer", optimizer, player)
        torch.set_rng_state(tensors["generator.cpu"])
        device = _device_of(self.model)
        if device.type == "cuda" and "generator.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["generator.cuda"], device)


def placed_in(model: VAE, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as a model holds them: this process's part, where the model holds parts."""
    present = model.state_dict()
    return {name: placed_like(value, present[name]) for name, value in weights.items()}


def _add(tensors: dict[str, Tensor], prefix: str, values: dict[str, Tensor]) -> None:
    tensors.update({f"{prefix}.{name}": value.detach() for name, value in values.items()})


def _under(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    start = prefix + "."
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def _add_optimizer(
    tensors: dict[str, Tensor],
    numbers: dict[str, Any],
    prefix: str,
    optimizer: Optimizer,
    network: nn.Module,
) -> None:
    """Add the state of every parameter, under the parameter's place among the network's."""
    for place, parameter in enumerate(network.parameters()):
        for name, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}.{place}.{name}"] = value.detach()
            elif value is not None:
                numbers[f"{prefix}.{place}.{name}"] = value


def _put_optimizer(
    tensors: dict[str, Tensor],
    numbers: dict[str, Any],
    prefix: str,
    optimizer: Optimizer,
    network: nn.Module,
) -> None:
    parameters = list(network.parameters())
    number_of = {parameter: number for number, parameter in enumerate(_parameters_of(optimizer))}
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**_under(tensors, prefix), **_under(numbers, prefix)}.items():
        place, _, key = name.partition(".")
        parameter = parameters[int(place)]
        if isinstance(value, Tensor):
            value = (placed_like(value, parameter) if value.shape == parameter.shape else value).clone()
        state.setdefault(number_of[parameter], {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _parameters_of(optimizer: Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _device_of(model: VAE) -> torch.device:
    return next(model.parameters()).device
