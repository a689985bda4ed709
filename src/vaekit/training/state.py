"""Everything that a training step moves, as tensors and numbers by name: taken, and put back."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaekit.training.averaging import WeightAverage
from vaekit.training.opponent import OpponentSteps
from vaekit.training.shards import placed_like
from vaekit.vae import VAE

__all__ = ["Players", "StepState", "load_weights", "placed_in"]


class StepState(NamedTuple):
    """What steps have made of the players, and of torch's generators.

    Parameters
    ----------
    tensors
        Weights, optimiser states and generators by name.
    numbers
        What else the optimisers and the average count, by name.
    """

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]

    def copy(self) -> "StepState":
        """The same, out of reach of later steps."""
        return StepState({name: value.detach().clone() for name, value in self.tensors.items()}, self.numbers)

    def to(self, device: str) -> "StepState":
        """The same on a device."""
        return StepState({name: value.to(device) for name, value in self.tensors.items()}, self.numbers)


class Players(NamedTuple):
    """All that learns: the model, its optimiser, its average and its opponent, where there are such."""

    model: VAE
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    opponent: OpponentSteps | None

    @property
    def evaluated(self) -> VAE:
        """The model to validate and to keep: the average, where there is one."""
        return self.model if self.average is None else self.average.model

    def take(self) -> StepState:
        """The state as it is: no copies of tensors, which later steps will move."""
        tensors: dict[str, Tensor] = {}
        numbers: dict[str, Any] = {}
        _add(tensors, "model", self.model.state_dict())
        _add_optimizer(tensors, numbers, "optimizer", self.optimizer)
        if self.average is not None:
            _add(tensors, "average", self.average.model.state_dict())
            numbers["average.steps"] = self.average.steps
        if self.opponent is not None:
            _add(tensors, "opponent", self.opponent.opponent.state_dict())
            _add_optimizer(tensors, numbers, "opponent_optimizer", self.opponent.optimizer)
        tensors["generator.cpu"] = torch.get_rng_state()
        device = _device_of(self.model)
        if device.type == "cuda":
            tensors["generator.cuda"] = torch.cuda.get_rng_state(device)
        return StepState(tensors, numbers)

    def put(self, state: StepState) -> None:
        """Put a state back, its own tensors untouched by later steps."""
        tensors, numbers = state
        load_weights(self.model, _under(tensors, "model"))
        _put_optimizer(tensors, numbers, "optimizer", self.optimizer)
        if self.average is not None:
            load_weights(self.average.model, _under(tensors, "average"))
            self.average.steps = numbers["average.steps"]
        if self.opponent is not None:
            self.opponent.opponent.load_state_dict(_under(tensors, "opponent"))
            _put_optimizer(tensors, numbers, "opponent_optimizer", self.opponent.optimizer)
        torch.set_rng_state(tensors["generator.cpu"])
        device = _device_of(self.model)
        if device.type == "cuda" and "generator.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["generator.cuda"], device)


def load_weights(model: VAE, weights: Mapping[str, Tensor]) -> None:
    """Put weights into a model, of whose networks it may hold shards."""
    model.load_state_dict(placed_in(model, weights))


def placed_in(model: VAE, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as a model holds them: this rank's shards where it holds shards."""
    present = model.state_dict()
    return {name: placed_like(value, present[name]) for name, value in weights.items()}


def _add(tensors: dict[str, Tensor], prefix: str, values: dict[str, Tensor]) -> None:
    tensors.update({f"{prefix}.{name}": value.detach() for name, value in values.items()})


def _under(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    start = prefix + "."
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def _add_optimizer(
    tensors: dict[str, Tensor], numbers: dict[str, Any], prefix: str, optimizer: torch.optim.Optimizer
) -> None:
    """Add the state of every parameter, under the parameter's place."""
    for place, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}.{place}.{name}"] = value.detach()
            elif value is not None:
                numbers[f"{prefix}.{place}.{name}"] = value


def _put_optimizer(
    tensors: dict[str, Tensor], numbers: dict[str, Any], prefix: str, optimizer: torch.optim.Optimizer
) -> None:
    state: dict[int, dict[str, Any]] = {}
    parameters = _parameters(optimizer)
    for name, value in {**_under(tensors, prefix), **_under(numbers, prefix)}.items():
        place, _, key = name.partition(".")
        if isinstance(value, Tensor):
            like = parameters[int(place)]
            value = (placed_like(value, like) if value.shape == like.shape else value).clone()
        state.setdefault(int(place), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _device_of(model: VAE) -> torch.device:
    return next(model.parameters()).device
