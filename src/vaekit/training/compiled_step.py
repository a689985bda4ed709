"""A compiled step: the objective and its gradient as one graph, where the planned work repays the time it takes.

torch's compiler traces the objective over the model's distributions, and its differentiation, into one graph,
and makes that into native loops (it needs a C++ compiler for that). The graph draws the very numbers that the
objective draws uncompiled, so results differ by rounding alone. What follows a schedule is an input of the
graph, no constant. A batch of another size, as the last of an epoch may be, goes through the objective as it
is.

The default choice depends on the plan alone, and not on a clock: a run that is resumed makes it again.
"""

import warnings
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, _foreach_copy_, nn  # pyright: ignore
from torch.func import functional_call, grad_and_value

from vaekit.contracts import WrappedObjective
from vaekit.errors import TrainingWarning
from vaekit.language.schedules import Annealed
from vaekit.objectives import Objective, ObjectiveResult, Opposed
from vaekit.runtime.compiler import compile_graph, has_compiler, reason_of
from vaekit.training.keeper import warn_of_another_environment
from vaekit.training.run_state import Run
from vaekit.training.setup import Batch, RunSetup, has_convolutions, multiplications
from vaekit.training.stepper import PlainGradient, loss_of
from vaekit.vae import VAE

__all__ = ["CompiledGradient", "compile_step", "repays_compilation", "wants_compilation"]

_COLD = 20.0  # seconds that are to be saved at least: twice what compiling takes
_SAVED_PER_STEP = 3e-4  # seconds, of Python
_SAVED_PER_MULTIPLICATION = 5e-12  # seconds, of loops over memory, per multiply-add of a forward pass

_NO_TERMS = dict.fromkeys(ObjectiveResult._fields)


def repays_compilation(model: VAE, objective: Objective, *, batch_size: int, steps: int) -> bool:
    """Return whether so many steps are worth compiling, by an estimate on the careful side.

    Convolutions are not: their time is nearly all in products, which compiling leaves as they are.

    Examples
    --------
    >>> from vaekit.objectives import Elbo
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=400"), (784,), latent=20)
    >>> [repays_compilation(model, Elbo(), batch_size=128, steps=n * 469) for n in (10, 100)]
    [False, True]
    """
    if has_convolutions(model):
        return False
    work = multiplications(model, objective, batch_size)
    return steps * (_SAVED_PER_STEP + _SAVED_PER_MULTIPLICATION * work) > _COLD


def wants_compilation(setup: RunSetup) -> bool:
    """Return whether a run of one process that begins is to be compiled, by its settings and what it repays."""
    rows, settings = len(setup.data.x), setup.settings
    if settings.compile != "auto":
        return settings.compile == "on" and rows >= settings.batch_size
    steps = settings.epochs * (rows // settings.batch_size)
    return (
        setup.device.type == "cpu"
        and not isinstance(setup.objective, Opposed)
        and repays_compilation(setup.model, setup.objective, batch_size=settings.batch_size, steps=steps)
        and has_compiler()
    )


class CompiledGradient:
    """The gradient of an objective's loss, compiled for batches of one size.

    Objective, tape and differentiation are one function of the parameters, traced into one graph: at a step
    nothing is taped. Buffers that the model changes in training (running means, codebooks) are the graph's
    inputs and outputs.

    Parameters
    ----------
    objective, model
        The objective to evaluate, and the model.
    batch_size
        The size of the batches that go through the graph.
    backend
        The backend of torch's compiler.
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
        self.plain = PlainGradient(objective, model)
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self._parameters = [parameter for _, parameter in named]
        self._buffers = list(model.buffers())
        function = _gradient_function(
            objective, model, [name for name, _ in named], [name for name, _ in model.named_buffers()]
        )
        self._compiled: Callable[..., Any] | None = compile_graph(function, backend)

    @property
    def compiled(self) -> bool:
        """False once the compiler gave up."""
        return self._compiled is not None

    def __call__(
        self, x: Tensor, c: Tensor | None = None, *, fall_back: bool = True
    ) -> tuple[ObjectiveResult, Tensor]:
        """Return results and loss, and leave the gradient in the parameters.

        If the compiler gives up, the plain gradient takes its place, or the error is raised without
        ``fall_back``.
        """
        if self._compiled is None or len(x) != self.batch_size:
            return self.plain(x, c)
        from torch._dynamo import mark_static

        for part in (x, c):
            if part is not None:
                mark_static(part)  # whatever sizes other runs had
        try:
            with torch.no_grad():
                gradients, buffers, loss, result = self._compiled(self._parameters, self._buffers, x, c)
        except Exception as error:  # the compiler's, or one that comes again in the plain loss
            if not fall_back:
                raise
            self._compiled = None
            _warn(error)
            return self.plain(x, c)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            same = gradient.stride() == parameter.stride()  # optimisers' kernels go by memory
            parameter.grad = gradient if same else torch.empty_like(parameter).copy_(gradient)
        if buffers:
            _foreach_copy_(self._buffers, buffers)
        terms: dict[str, Any] = {**_NO_TERMS, **result}
        return ObjectiveResult(**terms), loss


class _Loss(nn.Module):
    """The loss of a model as a module, whose parameters can be given from outside."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, objective: Objective, x: Tensor, c: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        result, loss = loss_of(objective, self.model, Batch(x, c))
        return loss, {name: term for name, term in result._asdict().items() if term is not None}


def _gradient_function(
    objective: Objective, model: VAE, names: Sequence[str], buffer_names: Sequence[str]
) -> FunctionType:
    """Return a function from parameters, buffers and a batch to gradient, changed buffers, loss and results.

    The compiler takes a number for a constant of the graph where it is first read under the differentiation,
    and for an input where that is before: so what follows a schedule is read before. The objective is no part
    of the module, whose numbers are taken for constants always.
    """
    module = _Loss(model)
    inner = objective
    while isinstance(inner, WrappedObjective):
        inner = inner.inner
    moved = [part for part in (inner, *model.modules()) if isinstance(part, Annealed)]

    def loss(
        parameters: Sequence[Tensor], buffers: Sequence[Tensor], x: Tensor, c: Tensor | None
    ) -> tuple[Tensor, tuple[list[Tensor], dict[str, Tensor]]]:
        given = {f"model.{name}": value for name, value in zip(names, parameters, strict=True)}
        given |= {f"model.{name}": value for name, value in zip(buffer_names, buffers, strict=True)}
        value, result = functional_call(module, given, (objective, x, c))
        return value, ([given[f"model.{name}"] for name in buffer_names], result)

    def gradient(
        parameters: Sequence[Tensor], buffers: Sequence[Tensor], x: Tensor, c: Tensor | None
    ) -> tuple[Sequence[Tensor], list[Tensor], Tensor, dict[str, Tensor]]:
        _ = [value * 1.0 for part in moved for value in part.scheduled_values()]
        differentiated = grad_and_value(loss, has_aux=True)(parameters, buffers, x, c)
        gradients, (value, (changed, result)) = differentiated
        return gradients, changed, value, result

    return gradient


def compile_step(run: Run, *, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile the step of a run if its settings want that, and leave the run's state as it is.

    ``on``: try; ``auto``: on a CPU, where it pays and there is a C++ compiler; ``off``: never. A run that is
    resumed goes on as it was.

    Parameters
    ----------
    run
        Before its first step, or about to go on.
    backend
        The backend of torch's compiler.

    Warns
    -----
    TrainingWarning
        If it cannot be compiled; it then runs as it is.
    """
    if run.ended is not None:
        return
    wanted = run.compiled_before
    if run.world.size > 1:  # the graph would draw noise for a slice
        if run.settings.compile == "on":
            _warn("a run of several processes takes its steps as they are")
        return
    if wants_compilation(run.setup) if wanted is None else wanted:
        _compile(run, backend)
    if wanted is not None:
        words = {True: "compiled", False: "not compiled"}
        warn_of_another_environment({"the step": words[wanted]}, {"the step": words[run.stepper.compiled]})


def _compile(run: Run, backend: str | Callable[..., Any]) -> None:
    gradient = CompiledGradient(
        run.stepper.objective, run.players.model, run.settings.batch_size, backend=backend
    )
    state = run.players.take().copy()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's, of what it finds in torch
            warnings.simplefilter("always", TrainingWarning)
            _trace(run, gradient)
        run.stepper.differentiate = gradient
    except Exception as error:  # whatever a compiler may raise: there is a way without
        _warn(error)
    finally:
        run.players.put(state)
        run.stepper.move_schedules(run.epoch - 1)
        run.move_schedules_to_last_step()
        run.players.optimizer.zero_grad(set_to_none=True)


def _trace(run: Run, gradient: CompiledGradient) -> None:
    """Take the gradient at some times of the schedules, so that what they move becomes an input."""
    run.players.model.train()
    batch = run.data.rows(torch.arange(gradient.batch_size, device=run.setup.device))
    for share in (0.31, 0.57, 0.83):
        run.stepper.move_schedules(share * run.last_epoch)
        gradient(*batch, fall_back=False)


def _warn(error: Any) -> None:
    what = error if isinstance(error, str) else reason_of(error)
    warnings.warn(
        f"the training step is not compiled ({what}); it runs as it is",
        TrainingWarning,
        stacklevel=3,
    )
