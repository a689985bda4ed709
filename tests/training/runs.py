"""Short runs of all kinds, and a way to stop one after some steps."""

from typing import Any

import torch

from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae, parse
from vaekit.training import (
    Callbacks,
    Examples,
    Launch,
    Progress,
    RunSetup,
    StopRequest,
    TrainingSettings,
    carry_out,
)


def table(rows=90):
    """Rows of 5 correlated columns."""
    with seeded(0):
        return torch.randn(rows, 2) @ torch.randn(2, 5) + 0.1 * torch.randn(rows, 5)


def make(seed=0, **parts):
    with seeded(seed):
        return build_vae(Sentence.parse(**{"network": "mlp:hidden=8", **parts}), (5,), latent=2)


def settings(**changes):
    return TrainingSettings(**{"epochs": 4, "batch_size": 16, "learning_rate": 5e-3, **changes})


def stop_after_steps(objective, steps, stop):
    """Have an objective ask for a stop in a step; everything else stays as it is."""
    left = steps

    class Stopping(type(objective)):
        def __call__(self, model, x, c=None):
            nonlocal left
            if torch.is_grad_enabled():
                left -= 1
                if left == 0:
                    stop.ask()
            return super().__call__(model, x, c)

    objective.__class__ = Stopping
    return objective


def run(model, x, *, objective="elbo", stop_after=None, options=None, validation: Any = "some", **arguments):
    """Train, with validation rows; give the history."""
    stop = StopRequest()
    built = parse("objective", objective).build()
    if stop_after is not None:
        stop_after_steps(built, stop_after, stop)
    validation = x[:20] if isinstance(validation, str) else validation
    return train_with(
        model, built, x, validation, settings=settings(**(options or {})), stop=stop, **arguments
    )


def train_with(
    model,
    objective,
    x,
    validation,
    *,
    settings,
    checkpoints=None,
    shard=False,
    optimizer=None,
    **callbacks,
):
    setup = RunSetup(
        model=model,
        objective=objective,
        data=Examples(x),
        held_out=None if validation is None else Examples(validation),
        settings=settings,
        seed=3,
        progress=Progress(optimizer=optimizer),
    )
    launch = Launch(shard=shard)
    callbacks = Callbacks(**callbacks)
    return carry_out(setup, callbacks=callbacks, checkpoints=checkpoints, launch=launch).history


def weights(model):
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def numbers(history):
    """All that is not time."""
    return [
        {k: v for k, v in epoch.to_json().items() if k not in ("seconds", "rows_per_second")}
        for epoch in history.epochs
    ]
