"""Short runs of all kinds, and a way to stop one after some steps."""

import torch

from vaekit.contracts import WrappedObjective
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae, parse
from vaekit.training import StopRequest, TrainingSettings, train


def table(rows=90):
    """Rows of 5 correlated columns."""
    with seeded(0):
        return torch.randn(rows, 2) @ torch.randn(2, 5) + 0.1 * torch.randn(rows, 5)


def make(seed=0, **parts):
    with seeded(seed):
        return build_vae(Sentence.parse(**{"network": "mlp:hidden=8", **parts}), (5,), latent=2)


def settings(**changes):
    return TrainingSettings(**{"epochs": 4, "batch_size": 16, "learning_rate": 5e-3, **changes})


class StoppingAfter(WrappedObjective):
    """An objective that asks for a stop in a step; everything else is the objective's."""

    def __init__(self, objective, steps, stop):
        super().__init__(objective)
        self.left, self.stop = steps, stop

    def __call__(self, model, x, c=None):
        if torch.is_grad_enabled():
            self.left -= 1
            if self.left == 0:
                self.stop.ask()
        return self.inner(model, x, c)


def run(model, x, *, objective="elbo", stop_after=None, options=None, **arguments):
    """Train, with validation rows; give the history."""
    stop = StopRequest()
    built = parse("objective", objective).build()
    if stop_after is not None:
        built = StoppingAfter(built, stop_after, stop)
    arguments.setdefault("validation", x[:20])
    return train(model, built, x, settings=settings(**(options or {})), seed=3, stop=stop, **arguments)


def weights(model):
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def numbers(history):
    """All that is not time."""
    return [
        {k: v for k, v in epoch.to_json().items() if k not in ("seconds", "rows_per_second")}
        for epoch in history.epochs
    ]
