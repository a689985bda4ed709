"""The training loop.

The data sit in one tensor on the device; an epoch is one permutation, a step is one gather. Every idea has a
file: the description of a run (``setup``), the step (``stepper``), the epoch and its way back to a good state
(``epoch``), all that changes (``run_state``, ``players``), what is kept on disk (``keeper``,
``checkpoints``), and who may stop it (``stopping``).
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import torch
from torch import Tensor

from vaekit.contracts import as_objective
from vaekit.errors import ProcessLostError, TrainingDivergedError
from vaekit.evaluation.bound import BoundSummary, evaluate_bound
from vaekit.evaluation.codes import code_usage, warn_of_collapse
from vaekit.language.settings import Launch, TrainingSettings
from vaekit.objectives import Objective
from vaekit.runtime.precision import NetworkPrecision
from vaekit.runtime.processor import flushed_denormals
from vaekit.runtime.randomness import give_way, seeded
from vaekit.runtime.surroundings import plain_arithmetic
from vaekit.training.checkpoints import Checkpoints
from vaekit.training.compiled_step import compile_step, wants_compilation
from vaekit.training.epoch import train_epoch
from vaekit.training.history import ACTIVE_KL, EpochMetrics, History
from vaekit.training.keeper import Keeper
from vaekit.training.loggers import Logger, log_to_all
from vaekit.training.process_group import joined
from vaekit.training.run_state import Run
from vaekit.training.setup import Examples, Progress, RunSetup
from vaekit.training.sharding import check_launch
from vaekit.training.stopping import StopRequest, stopping_on
from vaekit.training.streamed import StreamedRows
from vaekit.vae import VAE

__all__ = ["Callbacks", "carry_out", "train"]

_DRAWS_WORTH_HAVING = 1000  # of the validation bound
_ROWS_FOR_CODES = 4096  # of the training rows, to count codes in use where none are held out
_SECONDS_BETWEEN_CALLS = 0.25  # of on_step


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """Functions and loggers that are told of a run while it goes on, and a request that may stop it.

    Parameters
    ----------
    on_epoch
        Called after every epoch with its metrics and whether it is the best so far.
    on_step
        Called with the epochs done, a fraction, some times a second.
    loggers
        Their ``log`` is called after every epoch with its metrics; see :mod:`vaekit.training.loggers`.
    stop
        Stops the run before its next step, once it is asked for from elsewhere.
    """

    on_epoch: Callable[[EpochMetrics, bool], None] | None = None
    on_step: Callable[[float], None] | None = None
    loggers: Sequence[Logger] = ()
    stop: StopRequest | None = None


class _StoppedError(Exception):
    """Somebody asked the run to stop; no error, but a way out of an epoch."""


def train(
    model: VAE,
    objective: Objective,
    x: Tensor | StreamedRows | Examples,
    validation: Tensor | StreamedRows | Examples | None = None,
    *,
    settings: TrainingSettings,
    seed: int,
    callbacks: Callbacks = Callbacks(),
    checkpoints: Checkpoints | None = None,
) -> History:
    """Train a model in place, and leave it with the weights of its best epoch.

    Best is by the validation bound, un-annealed and unweighted; without validation rows the last epoch counts
    as best. Ctrl-C ends the run before the next step, with the best weights so far, as ``history.stopped``
    says.

    Where torch's process group is initialised, its processes train one model together, each on its slice of
    every batch; all must call this with the same arguments, and rank 0 alone writes files and calls
    functions.

    A loss or gradient that is not finite sets the run back to a state at most a hundred steps old, at half
    the learning rate, with a :class:`~vaekit.errors.TrainingWarning`; the fourth time in a run ends it.

    Parameters
    ----------
    model
        On the device it is to be trained on.
    objective
        The objective to maximise. It is told the number of rows, and, before every step, the epochs done,
        like every part of the model that follows a schedule. One with a second player has it built, and
        trained by one step after each of the model's.
    x
        ``(n, *event)`` training data, on the same device; or :class:`~vaekit.training.streamed.StreamedRows`,
        which read them from a file, and are then shuffled by windows; with a condition as :class:`Examples`.
    validation
        Held-out data for early stopping, in the same forms, evaluated with the same noise after every epoch.
    settings
        Epochs, batch size, learning rate, patience, ...
    seed
        Governs the order of the data and all noise; torch's global generators are put back afterwards.
    callbacks
        Functions to call on the way, and a request to stop.
    checkpoints
        Where and when to write them, and whether to go on from one.

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
        If there are checkpoints and the run is not to be resumed; or it is, and they are another run's or
        cannot be read.

    See Also
    --------
    carry_out : The same for a run that goes on where another ended, or on networks that are spread over
    processes.
    """
    setup = RunSetup(
        model=model,
        objective=as_objective(objective),
        data=x if isinstance(x, Examples) else Examples(x),
        held_out=validation
        if validation is None or isinstance(validation, Examples)
        else Examples(validation),
        settings=settings,
        seed=seed,
    )
    return carry_out(setup, callbacks=callbacks, checkpoints=checkpoints).history


@plain_arithmetic()
def carry_out(
    setup: RunSetup,
    *,
    callbacks: Callbacks = Callbacks(),
    checkpoints: Checkpoints | None = None,
    launch: Launch | None = None,
) -> Progress:
    """Carry out a training run: :func:`train` by its description.

    Parameters
    ----------
    setup
        The run. Its model is trained in place, its history appended to.
    callbacks, checkpoints
        See :func:`train`.
    launch
        The way in which processes share the work. Where that spreads the networks, the model waits in the
        host's memory meanwhile.

    Returns
    -------
    Progress
        History, objective, optimiser and opponent, for another run of the same model to go on from.

    Raises
    ------
    TrainingDivergedError, CheckpointError
        See :func:`train`.
    UsageError
        For a model that the processes cannot share as ``launch`` says.
    """
    model, objective = setup.model, setup.objective
    stop = StopRequest() if callbacks.stop is None else callbacks.stop

    @cache
    def identity() -> dict[str, str]:
        return setup.identity({} if checkpoints is None else checkpoints.identity)

    check_launch(setup, launch)
    with joined(setup.device, launch) as world:
        world.begin(objective, identity)
        first = setup.build_players()
        threads = setup.threads(compiled=world.size == 1 and wants_compilation(setup))
        with seeded(setup.seed), threads, flushed_denormals(), stopping_on(stop, signal.SIGINT):
            if world.size > 1:  # everybody begins from the state that rank 0 is in
                first.put(world.from_writer(lambda: first.take().to("cpu")))
            players = first.spread(world, setup.build_optimizer)
            run = Run(setup, players, world)
            keeper = Keeper(run, checkpoints, identity)
            keeper.start()
            precision = setup.precision_of(players.model)
            with precision.chosen():
                compile_step(run)
            together = world.holds_all
            try:
                _train(run, keeper, precision, stop, callbacks if world.is_writer else Callbacks())
                together = True
            except TrainingDivergedError:
                together = True
                raise
            finally:
                if together:
                    model.to(setup.device).load_state_dict(world.whole(run.best_weights, everywhere=True))
                model.eval()
    history = setup.progress.history
    if history.epochs and world.is_writer:
        rows = setup.data.first(_ROWS_FOR_CODES) if setup.held_out is None else setup.held_out
        warn_of_collapse(code_usage(model, cast(Tensor, rows.x), c=rows.c))
    return Progress(history, objective, players.optimizer, players.opponent)


def _train(
    run: Run, keeper: Keeper, precision: NetworkPrecision, stop: StopRequest, callbacks: Callbacks
) -> None:
    """Train epoch after epoch, to the end or until somebody stops it."""
    called = time.perf_counter()
    loggers = list(callbacks.loggers)

    def between_steps(epochs_done: float, look: Callable[[], None]) -> None:
        nonlocal called
        give_way()
        stops, saves = run.world.ask(stop=bool(stop), save=keeper.is_due)
        if stops:
            look()
            raise _StoppedError
        if saves:
            look()
            keeper.save()
            run.world.wait()
        if callbacks.on_step is not None and time.perf_counter() - called > _SECONDS_BETWEEN_CALLS:
            callbacks.on_step(epochs_done)
            called = time.perf_counter()

    keeper.note_epochs()
    try:
        while run.ended is None:
            run.world.align()
            with precision.chosen():
                train_epoch(run, between_steps)
            metrics = _measure(run)
            is_best = run.setup.held_out is None or metrics.bound > run.best_bound
            run.finish_epoch(metrics, is_best=is_best)
            keeper.note_epochs()
            log_to_all(loggers, metrics)
            if callbacks.on_epoch is not None:
                callbacks.on_epoch(metrics, is_best)
            keeper.save_after_epoch(is_best=is_best)
            run.world.wait()
        run.history.stopped = run.ended
    except _StoppedError:
        run.history.stopped = "interrupted"
        keeper.save()
        run.world.wait()
    except ProcessLostError:  # in the middle of a step: the state is half a step's
        if run.world.holds_all:
            run.return_to(run.good)
            keeper.save()
        raise
    except (
        KeyboardInterrupt
    ):  # from inside a step, or from somebody's function: the state may be half a step's
        run.history.stopped = "interrupted"
        run.return_to(run.good)
        if run.world.holds_all:
            keeper.save()


def _measure(run: Run) -> EpochMetrics:
    """Return the numbers of an epoch whose steps are done."""
    held_out = run.setup.held_out
    summary = None if held_out is None else _validate(run, held_out)
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


def _validate(run: Run, held_out: Examples) -> BoundSummary:
    """Evaluate with the same noise every time, so that epochs differ by their weights alone.

    A few rows are evaluated several times over, or the noise would choose among the epochs.
    """
    model = run.players.evaluated.eval()
    repeats = min(16, max(1, _DRAWS_WORTH_HAVING // len(held_out.x)))
    x, c = held_out
    if repeats > 1:
        x, c = (None if part is None else torch.cat([part[:]] * repeats) for part in held_out)
    with seeded(run.setup.seed + 1):
        return evaluate_bound(model, run.world.evaluating(run.stepper.objective), cast(Tensor, x), c=c)
