"""The training loop.

The data sit in one tensor on the device; an epoch is one permutation, a step is one gather. Every idea has a file:
the step (``step``), the epoch and its way back to a good state (``epoch``), all that changes (``run``, ``state``),
what is kept on disk (``keeper``, ``checkpoints``), and who may stop it (``stopping``).
"""

import signal
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import torch
from torch import Tensor, nn

from vaekit.allocation import keep_freed_memory
from vaekit.contracts import as_objective
from vaekit.errors import ProcessLostError, TrainingDivergedError, UsageError
from vaekit.evaluation.bound import BoundSummary, evaluate_bound
from vaekit.evaluation.codes import code_usage, warn_of_collapse
from vaekit.language.settings import TrainingSettings
from vaekit.objectives import Objective
from vaekit.runtime.randomness import seeded
from vaekit.training.averaging import WeightAverage
from vaekit.training.checkpoints import Checkpoints
from vaekit.training.compilation import compile_step
from vaekit.training.denormals import flushed_denormals
from vaekit.training.epoch import train_epoch
from vaekit.training.fused_adam import build_optimizer
from vaekit.training.history import ACTIVE_KL, EpochMetrics, History
from vaekit.training.identity import describe_run
from vaekit.training.joining import joined
from vaekit.training.keeper import Keeper
from vaekit.training.loggers import Logger, log_to_all
from vaekit.training.opponent import OpponentSteps, has_opponent
from vaekit.training.output_bias import begin_at_marginals, begins_at_marginals
from vaekit.training.precision import products_in
from vaekit.training.run import Run
from vaekit.training.shardable import require_shardable
from vaekit.training.state import Players
from vaekit.training.step import Batch, Stepper
from vaekit.training.stopping import StopRequest, stopping_on
from vaekit.training.streamed import StreamedRows
from vaekit.training.threads import threads_for
from vaekit.vae import VAE

__all__ = ["train"]

_DRAWS_WORTH_HAVING = 1000  # of the validation bound

_ROWS_FOR_CODES = 4096  # of the training rows, to count codes in use where none are held out

_SECONDS_BETWEEN_CALLS = 0.25  # of on_step


class _StoppedError(Exception):
    """Somebody asked the run to stop; no error, but a way out of an epoch."""


def train(
    model: VAE,
    objective: Objective,
    x: Tensor,
    validation: Tensor | None = None,
    *,
    settings: TrainingSettings,
    seed: int,
    c: Tensor | None = None,
    validation_c: Tensor | None = None,
    on_epoch: Callable[[EpochMetrics, bool], None] | None = None,
    on_step: Callable[[float], None] | None = None,
    loggers: Sequence[Logger] = (),
    history: History | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    opponent: OpponentSteps | None = None,
    checkpoints: Checkpoints | None = None,
    stop: StopRequest | None = None,
    column_names: Sequence[str] | None = None,
    shard: bool = False,
) -> History:
    """Train a model in place, and leave it with the weights of its best epoch.

    Best is by the validation bound, un-annealed and unweighted; without validation rows the last epoch counts
    as best. Ctrl-C ends the run before the next step, with the best weights so far, as ``history.stopped`` says.

    Where torch's process group is initialised, its processes train one model together, each on its slice of every
    batch; all must call this with the same arguments, and rank 0 alone writes files and calls functions.

    A loss or gradient that is not finite sets the run back to a state at most a hundred steps old, at half the
    learning rate, with a :class:`~vaekit.errors.TrainingWarning`; the fourth time in a run ends it.

    Parameters
    ----------
    model
        On the device it is to be trained on.
    objective
        What to maximise. One with a method ``begin`` is told the number of rows; one with schedules, like every
        part of the model that has any, the epochs done before every step, those of ``history`` included. One
        with a second player has it built, and trained by one step after each of the model's.
    x
        ``(n, *event)`` training data, on the same device; or :class:`~vaekit.training.streamed.StreamedRows`, which
        read them from a file, and are then shuffled by windows.
    validation
        Held-out data for early stopping, evaluated with the same noise after every epoch.
    settings
        Epochs, batch size, learning rate, patience, ...
    seed
        Governs the order of the data and all noise; torch's global generators are put back afterwards.
    c, validation_c
        Conditions of ``x`` and ``validation``, ``(n, d)``.
    on_epoch
        Called after every epoch with its metrics and whether it is the best so far.
    on_step
        Called with the epochs done, a fraction, some times a second.
    loggers
        Their ``log`` is called after every epoch with its metrics; see :mod:`vaekit.training.loggers`.
    history
        To append to; a new one by default.
    optimizer
        To go on with; a fresh one by default.
    opponent
        To go on with, where the objective has a second player; a new one by default.
    checkpoints
        Where and when to write them, and whether to go on from one.
    stop
        To stop the run before its next step from elsewhere.
    column_names
        Of ``x``, for messages.
    shard
        Spread the networks over the processes that train them, see :mod:`vaekit.training.shards`. ``model`` waits in
        the host's memory meanwhile.

    Returns
    -------
    History

    Warns
    -----
    CodeCollapseWarning
        If the latents are codes, and hardly any are in use at the end.

    Raises
    ------
    TrainingDivergedError
        If the loss is not finite for the fourth time: the model then holds the best weights so far, and the
        message names the step, the term and the column with the most extreme value.
    CheckpointError
        If there are checkpoints and the run is not to be resumed; or it is, and they are another run's or cannot
        be read.
    UsageError
        For ``shard`` with one process, or with what cannot be sharded.
    """
    keep_freed_memory()
    objective = as_objective(objective)
    history = History() if history is None else history
    stop = StopRequest() if stop is None else stop

    def optimizer_of(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return build_optimizer(settings.optimizer, parameters, settings.learning_rate)

    if shard:
        require_shardable(model, objective)
        if optimizer is not None:
            raise UsageError("shard does not go with an optimiser to go on with; leave one of them out")
    if optimizer is None:
        optimizer = optimizer_of(model.parameters())
    if opponent is None and has_opponent(objective):
        opponent = OpponentSteps(objective, model, learning_rate=settings.learning_rate, seed=seed + 2)
    objective.begin(rows=len(x))
    if c is not None:
        objective.count_labels(c)
    if not history.epochs and begins_at_marginals(model, settings.output_bias):
        begin_at_marginals(model, x.evenly_spread() if isinstance(x, StreamedRows) else x)
    average = None if settings.averaging is None else WeightAverage(model, settings.averaging)
    players = Players(model, optimizer, average, opponent)
    held_out = None if validation is None else Batch(validation, validation_c)
    with (
        joined(x.device, shard=shard) as world,
        seeded(seed),
        threads_for(model, objective, settings.batch_size),
        flushed_denormals(),
        stopping_on(stop, signal.SIGINT),
    ):

        @cache
        def identity() -> dict[str, str]:
            data = {"training data": x, "validation data": validation}
            conditions = {} if c is None else {"condition": c, "validation condition": validation_c}
            given = {} if checkpoints is None else checkpoints.identity
            return describe_run(model, settings, seed, {**data, **conditions}, given)

        world.begin(identity, players, objective)
        players = world.spread(players, optimizer_of)
        if opponent is not None:
            opponent.world = world
        run = Run(
            players=players,
            stepper=Stepper(players, objective, settings.clip_at(x[0].numel()), world),
            data=Batch(x, c),
            settings=settings,
            order=torch.Generator().manual_seed(seed),
            history=history,
            column_names=column_names,
            world=world,
        )
        keeper = Keeper(run, checkpoints, identity)
        keeper.start()
        with products_in(players.model, settings.precision):
            compile_step(run, settings.compile)
        if not world.is_writer:
            on_epoch = on_step = None
            loggers = ()
        together = not shard
        try:
            _train(run, keeper, held_out, seed + 1, stop, on_epoch, on_step, list(loggers))
            together = True
        except TrainingDivergedError:
            together = True
            raise
        finally:
            if together:
                model.to(x.device).load_state_dict(world.whole(run.best_weights, everywhere=True))
            model.eval()
    if history.epochs and world.is_writer:
        some = slice(_ROWS_FOR_CODES)
        rows = Batch(x[some], None if c is None else c[some]) if held_out is None else held_out
        warn_of_collapse(code_usage(model, rows.x, c=rows.c))
    return history


def _train(
    run: Run,
    keeper: Keeper,
    held_out: Batch | None,
    seed: int,
    stop: StopRequest,
    on_epoch: Callable[[EpochMetrics, bool], None] | None,
    on_step: Callable[[float], None] | None,
    loggers: list[Logger],
) -> None:
    """Train epoch after epoch, to the end or until somebody stops it."""
    called = time.perf_counter()

    def between_steps(epochs_done: float, look: Callable[[], None]) -> None:
        nonlocal called
        stops, saves = run.world.ask(stop=bool(stop), save=keeper.is_due)
        if stops:
            look()
            raise _StoppedError
        if saves:
            look()
            keeper.save()
            run.world.wait()
        if on_step is not None and time.perf_counter() - called > _SECONDS_BETWEEN_CALLS:
            on_step(epochs_done)
            called = time.perf_counter()

    keeper.note_epochs()
    try:
        while run.ended is None:
            run.world.align()
            with products_in(run.players.model, run.settings.precision):
                train_epoch(run, between_steps)
            metrics = _measure(run, held_out, seed)
            is_best = held_out is None or metrics.bound > run.best_bound
            run.finish_epoch(metrics, is_best=is_best)
            keeper.note_epochs()
            log_to_all(loggers, metrics)
            if on_epoch is not None:
                on_epoch(metrics, is_best)
            keeper.save_after_epoch(is_best=is_best)
            run.world.wait()
        run.history.stopped = run.ended
    except _StoppedError:
        run.history.stopped = "interrupted"
        keeper.save()
        run.world.wait()
    except ProcessLostError:  # in the middle of a step: the state is half a step's
        if not run.world.is_sharded:
            run.return_to(run.good)
            keeper.save()
        raise
    except (
        KeyboardInterrupt
    ):  # from inside a step, or from somebody's function: the state may be half a step's
        run.history.stopped = "interrupted"
        run.return_to(run.good)
        if not run.world.is_sharded:
            keeper.save()


def _measure(run: Run, held_out: Batch | None, seed: int) -> EpochMetrics:
    """Give the numbers of an epoch whose steps are done."""
    summary = None if held_out is None else _validate(run, held_out, seed)
    each = run.means["kl_per_dimension"]
    kl = summary.kl_per_dimension if summary is not None else None if each is None else each.mean(0)
    dimensions = None if kl is None else kl.tolist()
    norms = run.means["norm"]
    limit = run.stepper.limit
    seconds = run.seconds
    return EpochMetrics(
        epoch=run.epoch,
        epochs=run.last_epoch,
        train_bound=run.means.mean("bound").item(),
        train_reconstruction=run.means.mean("reconstruction").item(),
        train_kl=run.means.mean("kl").item(),
        validation_bound=None if summary is None else summary.estimate.mean,
        validation_reconstruction=None if summary is None else summary.reconstruction,
        validation_kl=None if summary is None else summary.kl,
        kl_per_dimension=dimensions,
        learning_rate=run.players.optimizer.param_groups[0]["lr"],
        seconds=seconds,
        active_units=None if dimensions is None else sum(value > ACTIVE_KL for value in dimensions),
        gradient_norm=None if norms is None else norms.mean().item(),
        clipped=None if norms is None or limit is None else (norms > limit).double().mean().item(),
        rows_per_second=len(run.data.x) / seconds,
    )


def _validate(run: Run, held_out: Batch, seed: int) -> BoundSummary:
    """Evaluate with the same noise every time, so that epochs differ by their weights alone.

    A few rows are evaluated several times over, or the noise would choose among the epochs.
    """
    model = run.players.evaluated.eval()
    repeats = min(16, max(1, _DRAWS_WORTH_HAVING // len(held_out.x)))
    x, c = held_out
    if repeats > 1:
        x, c = (None if part is None else torch.cat([part[:]] * repeats) for part in held_out)
    with seeded(seed):
        return evaluate_bound(model, run.world.evaluating(run.stepper.objective), x, c=c)  # type: ignore[arg-type]
