"""What the ranks of a test do, each in a process of its own."""

import os
import signal
import warnings

from training.runs import StoppingAfter, make, numbers, run, settings, table, weights
from vaekit.errors import ProcessLostError, UsageError
from vaekit.estimator import VariationalAutoencoder
from vaekit.spec import parse
from vaekit.training import Checkpoints, StopRequest, train

SENTENCES = {
    "elbo": {},
    "importance samples": {"objective": "iwae:samples=3"},
    "dropout": {"network": "mlp:hidden=8,dropout=0.3"},
    "low rank": {"posterior": "low-rank:rank=1"},
    "Hamiltonian": {"posterior": "hamiltonian"},
}

BY_SLICES = {
    "batch normalisation": {"network": "mlp:hidden=8,normalisation=batch"},
    "total correlation": {"objective": "tc"},
    "a second player": {"objective": "factor"},
}


def train_sentences(rank):
    """Train some models for 52 steps of 25 rows, the last of an epoch of 15; metrics and weights of each."""
    return {name: train_sentence(name) for name in {**SENTENCES, **BY_SLICES}}


def train_sentence(name):
    parts = dict({**SENTENCES, **BY_SLICES}[name])
    objective = parts.pop("objective", "elbo")
    model = make(**parts)
    history = run(model, table(90), objective=objective, options={"batch_size": 25, "epochs": 13})
    return numbers(history), weights(model)


def meet_trouble(rank):
    """Ranks that were given different things: what each is told of it."""
    return [trouble(rank, x=table(90 + rank)), trouble(rank, options={"batch_size": 16 + rank})]


def trouble(rank, x=None, **more):
    try:
        run(make(), table(90) if x is None else x, **more)
    except UsageError as error:
        return str(error)
    return None


def stop_in_the_second_rank(rank, folder, steps):
    """Stop after so many steps, as the second rank wants to; the first writes the checkpoint."""
    options = Checkpoints(folder=folder, resume=True)
    model = make(posterior="quantized:codes=8,dimension=1")
    history = run(model, table(90), checkpoints=options, stop_after=steps if rank else None, options=LONG)
    return history.stopped


LONG = {"batch_size": 25, "epochs": 8}


def resume(rank, folder):
    """Go on with that, to the end."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = make(posterior="quantized:codes=8,dimension=1")
        options = Checkpoints(folder=folder, resume=True)
        history = run(model, table(90), checkpoints=options, options=LONG)
    return numbers(history), weights(model), [str(warning.message) for warning in told]


def fit_estimator(rank):
    """Fit without a seed: that of rank 0 is everybody's; the model, and what the user's function was called with."""
    called = []
    estimator = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=2)
    estimator.fit(table(90).numpy(), on_epoch=lambda metrics, best: called.append(metrics.epoch))
    return weights(estimator.model_), called


def be_killed(rank, folder, steps):
    """The last rank is killed in a step; the others say what they end with."""
    stop = StopRequest()
    if rank == 2:
        stop.ask = lambda: os.kill(os.getpid(), signal.SIGKILL)
    objective = StoppingAfter(parse("objective", "elbo").build(), steps if rank == 2 else -1, stop)
    options = Checkpoints(folder=folder)
    try:
        train(make(), objective, table(90), table(20), settings=settings(**LONG), seed=3, checkpoints=options)
    except ProcessLostError as error:
        return str(error)
    return None
