"""A compiled step: the objective and its gradient as two graphs, where the planned work repays their making.

torch's compiler traces the objective over the model's distributions into one graph, differentiates it, and makes
both into native loops (it needs a C++ compiler for that). The graphs draw the very numbers that the objective draws
uncompiled, so results differ by rounding alone. What follows a schedule is an input of the graphs, no constant. A
batch of another size, as the last of an epoch may be, goes through the objective as it is.

The default choice depends on the plan alone, and not on a clock: a run that is resumed makes it again.
"""

import os
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.errors import TrainingWarning
from vaekit.objectives import Objective, ObjectiveResult
from vaekit.training.identity import warn_of_another_environment
from vaekit.training.run import Run
from vaekit.training.settings import Compilation
from vaekit.training.step import Loss, plain_loss
from vaekit.vae import VAE

__all__ = ["CompiledLoss", "compile_step", "repays_compilation"]

_COLD = 20.0  # seconds that are to be saved at least: twice what compiling takes
_SAVED_PER_STEP = 3e-4  # seconds, of Python
_SAVED_PER_MULTIPLICATION = 5e-12  # seconds, of loops over memory, per multiply-add of a forward pass


def repays_compilation(model: VAE, objective: Objective, *, batch_size: int, steps: int) -> bool:
    """Whether so many steps are worth compiling, by an estimate on the careful side.

    Convolutions, whose time is nearly all in products that stay what they are, are not.

    Examples
    --------
    >>> from vaekit.objectives import Elbo
    >>> from vaekit.spec import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=400"), (784,), latent=20)
    >>> [repays_compilation(model, Elbo(), batch_size=128, steps=n * 469) for n in (10, 100)]
    [False, True]
    """
    if any(isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in model.modules()):
        return False
    encoder, decoder = (
        sum(parameter.numel() for parameter in model.parts[name].parameters())
        for name in ("encoder", "decoder")
    )
    draws = getattr(objective, "draws", 1)
    multiplications = batch_size * (encoder + decoder * (draws if isinstance(draws, int) else 1))
    return steps * (_SAVED_PER_STEP + _SAVED_PER_MULTIPLICATION * multiplications) > _COLD


class CompiledLoss:
    """An objective and its loss, compiled for batches of one size.

    Parameters
    ----------
    objective, model
        What is evaluated.
    batch_size
        Of the batches that go through the graph.
    backend
        Of torch's compiler.
    """

    def __init__(
        self,
        objective: Objective,
        model: VAE,
        batch_size: int,
        *,
        backend: str | Callable[..., Any] = "inductor",
    ) -> None:
        self.batch_size = batch_size
        self.plain = plain_loss(objective, model)
        self.plain.__code__ = self.plain.__code__.replace()  # its own, for torch counts the graphs of a code
        self._compiled: Loss | None = torch.compile(
            self.plain,
            fullgraph=True,
            backend=backend,
            options={"fallback_random": True} if backend == "inductor" else None,
        )

    @property
    def compiled(self) -> bool:
        """False once the compiler gave up."""
        return self._compiled is not None

    def __call__(
        self, x: Tensor, c: Tensor | None = None, *, fall_back: bool = True
    ) -> tuple[ObjectiveResult, Tensor]:
        """Evaluate the objective, and the loss to differentiate; without the compiler if it gives up, and may."""
        if self._compiled is None or len(x) != self.batch_size:
            return self.plain(x, c)
        for part in (x, c):
            if part is not None:
                torch._dynamo.mark_static(part)  # whatever sizes other runs had
        try:
            return self._compiled(x, c)
        except Exception as error:  # the compiler's, or one that comes again in the plain loss
            if not fall_back:
                raise
            self._compiled = None
            _warn(error)
            return self.plain(x, c)


def compile_step(run: Run, choice: Compilation, *, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile the step of a run if that is wanted, and leave the run's state as it is.

    A run that is resumed goes on as it was.

    Parameters
    ----------
    run
        Before its first step, or about to go on.
    choice
        ``on``: try; ``auto``: on a CPU, where it pays and there is a C++ compiler; ``off``: never.
    backend
        Of torch's compiler.

    Warns
    -----
    TrainingWarning
        If it cannot be compiled; it then runs as it is.
    """
    if run.ended is not None:
        return
    wanted = run.compiled_before
    if _wants(run, choice) if wanted is None else wanted:
        _compile(run, backend)
    if wanted is not None:
        words = {True: "compiled", False: "not compiled"}
        warn_of_another_environment({"the step": words[wanted]}, {"the step": words[run.stepper.compiled]})


def _wants(run: Run, choice: Compilation) -> bool:
    rows, size = len(run.data.x), run.settings.batch_size
    if choice != "auto":
        return choice == "on" and rows >= size
    steps = run.settings.epochs * (rows // size)
    return (
        run.data.x.device.type == "cpu"
        and run.players.opponent is None
        and repays_compilation(run.players.model, run.stepper.objective, batch_size=size, steps=steps)
        and _has_compiler()
    )


def _compile(run: Run, backend: str | Callable[..., Any]) -> None:
    loss = CompiledLoss(run.stepper.objective, run.players.model, run.settings.batch_size, backend=backend)
    state = run.players.take().copy()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's, of what it finds in torch
            _trace(run, loss)
        run.stepper.loss = loss
    except Exception as error:  # whatever a compiler may raise: there is a way without
        _warn(error)
    finally:
        run.players.put(state)
        run.stepper.move_schedules(run.epoch - 1)
        run.move_schedules_to_last_step()
        run.players.optimizer.zero_grad(set_to_none=True)


def _trace(run: Run, loss: CompiledLoss) -> None:
    """Take the gradient at some times of the schedules, so that what they move becomes an input."""
    run.players.model.train()
    batch = run.data.rows(torch.arange(loss.batch_size, device=run.data.x.device))
    for share in (0.31, 0.57, 0.83):
        run.stepper.move_schedules(share * run.last_epoch)
        loss(*batch, fall_back=False)[1].backward()


def _has_compiler() -> bool:
    names = [os.environ.get("CXX"), "g++", "clang++", "cl"]
    return any(name is not None and shutil.which(name) is not None for name in names)


def _warn(error: Any) -> None:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    warnings.warn(
        f"the training step is not compiled ({type(error).__name__}: {reason}); it runs as it is",
        TrainingWarning,
        stacklevel=3,
    )
