"""The description of a training run, which is made once: the loop, its plan and later runs start from it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaekit.language.settings import TrainingSettings
from vaekit.objectives import Objective, Opposed
from vaekit.runtime.precision import NetworkPrecision
from vaekit.runtime.randomness import seeded
from vaekit.runtime.threads import shared_threads
from vaekit.training.history import History
from vaekit.training.optimizing import Optimizer, build_optimizer
from vaekit.training.output_bias import begin_at_marginals, begins_at_marginals
from vaekit.training.players import OpponentSteps, Players, WeightAverage
from vaekit.training.streamed import StreamedRows
from vaekit.vae import VAE

__all__ = [
    "Batch",
    "Examples",
    "Progress",
    "RunSetup",
    "begin_objective",
    "has_convolutions",
    "multiplications",
]


class Batch(NamedTuple):
    """Examples ``(batch, *event)`` of a step and their condition ``(batch, d)``, where there is one."""

    x: Tensor
    c: Tensor | None = None


class Examples(NamedTuple):
    """A data set ``(n, *event)``, in memory or read as it is needed, and its condition ``(n, d)``, if any."""

    x: Tensor | StreamedRows
    c: Tensor | None = None

    def rows(self, rows: Tensor) -> Batch:
        """Gather some rows."""
        x, c = self
        return Batch(x.index_select(0, rows), None if c is None else c.index_select(0, rows))

    def first(self, n: int) -> Batch:
        """Return the first ``n`` rows."""
        return Batch(self.x[:n], None if self.c is None else self.c[:n])


@dataclass
class Progress:
    """The things that a run leaves behind, beside the weights, for another run to go on from.

    Parameters
    ----------
    history
        The epochs that are done; a run appends to it.
    objective
        The objective of the earlier run, which holds the second player where it has one; None: there was
        none.
    optimizer
        The optimiser with its state; None: a fresh one.
    opponent
        The second player of the objective with its optimiser; None: a fresh one, where the objective has one.
    """

    history: History = field(default_factory=History)
    objective: Objective | None = None
    optimizer: Optimizer | None = None
    opponent: OpponentSteps | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class RunSetup:
    """The description of a training run: the model, the objective, the data, the settings and the seed.

    Parameters
    ----------
    model
        On the device that it is to be trained on.
    objective
        The objective to maximise.
    data, held_out
        Training rows, and rows to choose the best epoch by, on that device.
    settings
        Epochs, batch size, learning rate, patience, ...
    seed
        Governs the order of the data and all noise.
    column_names
        The names of the columns, for messages.
    progress
        The things that an earlier run has left to go on from.
    """

    model: VAE
    objective: Objective
    data: Examples
    held_out: Examples | None = None
    settings: TrainingSettings
    seed: int
    column_names: Sequence[str] | None = None
    progress: Progress = field(default_factory=Progress)

    @property
    def device(self) -> torch.device:
        """The device of the data."""
        return self.data.x.device

    def copied(self) -> "RunSetup":
        """Return the same run of copies of the model and the objective, for steps that are not to count."""
        model, objective = deepcopy((self.model, self.objective))
        return replace(self, model=model, objective=objective, progress=Progress())

    def build_players(self) -> Players:
        """Bring model and objective to where a run begins, and build all that learns."""
        rows = len(self.data.x)
        opponent = self.progress.opponent
        if opponent is None and isinstance(self.objective, Opposed):
            rate, seed = self.settings.learning_rate, self.seed + 2
            opponent = OpponentSteps(self.objective, self.model, learning_rate=rate, seed=seed)
        begin_objective(self.objective, self.model, rows=rows, c=self.data.c)
        if not self.progress.history.epochs and begins_at_marginals(self.model, self.settings.output_bias):
            x = self.data.x
            begin_at_marginals(self.model, x.evenly_spread() if isinstance(x, StreamedRows) else x)
        decay = self.settings.averaging
        average = None if decay is None else WeightAverage(self.model, decay)
        optimizer = self.progress.optimizer or self.build_optimizer(self.model.parameters())
        return Players(self.model, optimizer, average, opponent)

    def build_optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Return a fresh optimiser of some parameters."""
        return build_optimizer(self.settings.optimizer, parameters, self.settings.learning_rate)

    def threads(self, *, compiled: bool = False) -> AbstractContextManager[None]:
        """Return a block that runs on one thread where a step is too small to share; see :mod:`vaekit.runtime.threads`.

        Every step of a run has the same number, which its checkpoints note.

        Parameters
        ----------
        compiled
            Whether the step is compiled, so that less work is worth sharing.
        """
        if has_convolutions(self.model):
            each = _multiplications_at_all_places(self.model, self.objective, self.data.first(1))
            return shared_threads(each * self.settings.batch_size)
        work = multiplications(self.model, self.objective, self.settings.batch_size)
        return shared_threads(work, compiled=compiled)

    def precision_of(self, model: VAE) -> NetworkPrecision:
        """Return the precision in which the networks of a model multiply in training.

        Raises
        ------
        UsageError
            If the device has no such products.
        """
        networks = [model.encoder, model.decoder, model.classifier]
        return NetworkPrecision([n for n in networks if n is not None], self.settings.precision)

    def identity(self, given: Mapping[str, str]) -> dict[str, str]:
        """Describe the run by what its results depend on, each by the name that a message gives it.

        Of tensors type, shape and bytes count, of the model its parameters' names and shapes. ``given`` holds
        what the caller knows besides.
        """
        x, c = (None, None) if self.held_out is None else self.held_out
        data = {"training data": self.data.x, "validation data": x}
        if self.data.c is not None:
            data |= {"condition": self.data.c, "validation condition": c}
        shapes = "\n".join(f"{name} {tuple(value.shape)}" for name, value in self.model.state_dict().items())
        return {
            **given,
            **{name: str(value) for name, value in asdict(self.settings).items()},
            "seed": str(self.seed),
            **{name: _describe(value) for name, value in data.items()},
            "the model's parameters": hashlib.sha256(shapes.encode()).hexdigest()[:16],
        }


def begin_objective(objective: Objective, model: VAE, *, rows: int, c: Tensor | None = None) -> None:
    """Tell an objective what it will be evaluated on, and build its second player where it still lacks one.

    Parameters
    ----------
    objective, model
        The model that it will be evaluated with.
    rows
        The number of training rows.
    c
        Their conditions, ``(n, d)``.
    """
    if isinstance(objective, Opposed) and objective.opponent is None:
        objective.build_opponent(model)
    objective.begin(rows=rows)
    if c is not None:
        objective.count_labels(c)


def multiplications(model: VAE, objective: Objective, batch_size: int) -> int:
    """Return the multiply-adds of a step's pass forward, by the number of parameters.

    The decoder sees every draw of an example.

    Examples
    --------
    >>> from vaekit.objectives import Elbo, ImportanceWeighted
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)  # 3 x 4 and 2 x 4
    >>> multiplications(model, Elbo(), 10), multiplications(model, ImportanceWeighted(samples=50), 10)
    (250, 4660)
    """
    decoder = sum(parameter.numel() for parameter in model.decoder.parameters())
    others = sum(parameter.numel() for parameter in model.parameters()) - decoder
    return batch_size * (others + decoder * objective.draws)


def has_convolutions(model: VAE) -> bool:
    """Return whether a model has convolutions, which multiply far more often than they have parameters."""
    return any(isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in model.modules())


@torch.no_grad()
def _multiplications_at_all_places(model: VAE, objective: Objective, example: Batch) -> int:
    """Return the multiply-adds of one example's pass forward, counted: a convolution's weights see every place."""
    model = deepcopy(model).eval()
    counted = 0

    def count(layer: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> None:
        nonlocal counted
        if isinstance(layer, nn.ConvTranspose2d):
            counted += given[0].numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            counted += found.numel() * layer.weight[0].numel()

    for module in model.modules():
        module.register_forward_hook(count)
    x, c = example
    with seeded(0):
        z = model.encode(x, c).sample()
        encoding = counted
        model.decode(z, c)
    return encoding + objective.draws * (counted - encoding)


def _describe(value: Tensor | StreamedRows | None) -> str:
    if value is None:
        return "none"
    if isinstance(value, StreamedRows):
        return f"{' x '.join(map(str, value.shape))} numbers ({value.digest()[:16]}), in windows of {value.window}"
    content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    digest = hashlib.sha256(content.data).hexdigest()[:16]
    return f"{' x '.join(map(str, value.shape))} numbers ({digest})"
