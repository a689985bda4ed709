"""What the ranks of a test do, each in a process of its own."""

import os
import signal
import warnings

import torch

from narrowing import untyped
from training.runs import make, numbers, run, settings, stop_after_steps, table, train_with, weights
from vaekit.errors import ProcessLostError, TrainingDivergedError, UsageError
from vaekit.estimator import VariationalAutoencoder
from vaekit.runtime.spread import local_part
from vaekit.sentence import parse
from vaekit.training import Checkpoints, StopRequest
from vaekit.training.optimizing import build_optimizer
from vaekit.training.players import Players
from vaekit.training.setup import Batch
from vaekit.training.sharding import ShardedRanks
from vaekit.training.stepper import Stepper

SENTENCES = {
    "elbo": {},
    "importance samples": {"objective": "iwae:samples=3"},
    "dropout": {"network": "mlp:hidden=8,dropout=0.3"},
    "low rank": {"posterior": "low-rank:rank=1"},
    "Hamiltonian": {"posterior": "hamiltonian"},
    "free bits": {"objective": "elbo:free_bits=0.3"},
}

SHARDED = {
    "elbo": {},
    "importance samples": {"objective": "iwae:samples=3"},
    "dropout": {"network": "mlp:hidden=8,dropout=0.3"},
    "pseudo-inputs": {"prior": "vamp:components=7"},
    "flow": {"posterior": "iaf", "options": {"learning_rate": 1e-3}},  # at 5e-3 it amplifies the last digits
    "codes": {"posterior": "quantized:codes=8,dimension=1"},
    "layers on their own": {"network": "mlp:hidden=256x260", "options": {"learning_rate": 1e-4}},
    "average": {"options": {"averaging": 0.9}},
    "RMSprop": {"options": {"optimizer": "rmsprop", "learning_rate": 1e-4}},
    "clipped": {"options": {"clip": 1.0}},
    "bfloat16": {"options": {"precision": "bf16"}},
}

BY_SLICES = {
    "batch normalisation": {"network": "mlp:hidden=8,normalisation=batch"},
    "total correlation": {"objective": "tc"},
    "a second player": {"objective": "factor"},
}


def train_sentences(rank):
    """Train some models for 52 steps of 25 rows, the last of an epoch of 15; metrics and weights of each."""
    return {name: train_sentence(parts) for name, parts in SENTENCES.items()}


def train_by_slices(rank):
    """The same of models whose batches are the slices; with what is said of it."""
    found = {}
    for name, parts in BY_SLICES.items():
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found[name] = train_sentence(parts)[1], [str(warning.message) for warning in told]
    return found


def train_sharded(rank, names):
    """The same with each rank holding a share of the networks."""
    return {name: train_sentence(SHARDED[name], shard=True) for name in names}


def train_sentence(parts, **more):
    parts = dict(parts)
    objective, options = parts.pop("objective", "elbo"), parts.pop("options", {})
    model = make(**parts)
    options = {"batch_size": 25, "epochs": 13, **options}
    history = run(model, table(90), objective=objective, options=options, **more)
    return numbers(history), weights(model)


def hold_shares(rank):
    """How many numbers of weights, gradients and optimiser each rank holds, of networks and of the rest, and in all."""
    group = torch.distributed.new_group(backend="gloo")
    model = make(network="mlp:hidden=256x260", prior="vamp:components=7")
    players = Players(model, build_optimizer("adam", model.parameters(), 1e-3), None, None)
    world = ShardedRanks(rank, torch.distributed.get_world_size(), steps=group, control=group)
    here = players.spread(world, lambda parameters: build_optimizer("adam", parameters, 1e-3))
    stepper = Stepper(here, parse("objective", "elbo").build(), None, world)
    batch = Batch(table(90)[world.mine(torch.arange(25))])
    stepper.gradient(batch)
    stepper.move(batch)
    counts = {"networks": 0, "rest": 0}
    for name, parameter in here.model.named_parameters():
        state = here.optimizer.state[parameter]
        held = [parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"]]
        kind = "networks" if name.startswith(("parts.encoder", "parts.decoder")) else "rest"
        counts[kind] += sum(local_part(value).numel() for value in held)
    return counts, 4 * sum(parameter.numel() for parameter in model.parameters())


def be_refused(rank):
    """Models and objectives that cannot be sharded: what each is told."""
    tied = make(network="mlp:hidden=5")
    untyped(tied.parts["decoder"].layers)[-1].bias = untyped(tied.parts["encoder"].layers)[0].bias
    return [
        refusal(make(posterior="hamiltonian")),
        refusal(make(posterior="point", objective="rae"), objective="rae"),
        refusal(make(), objective="factor"),
        refusal(tied),
        refusal(make(), optimizer=torch.optim.Adam(make().parameters())),
    ]


def refusal(model, **more):
    try:
        run(model, table(90), shard=True, **more)
    except UsageError as error:
        return str(error)
    return None


def meet_infinity(rank):
    """A loss that is not finite once: every rank goes back, and ends with the same weights."""
    x = table(90)
    x[17] = 1e30
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = make()
        try:
            run(model, x, shard=True, options={"epochs": 1})
        except TrainingDivergedError as error:
            return weights(model), str(error), [str(warning.message) for warning in told]
    return None


def meet_trouble(rank):
    """Ranks that were given different things: what each is told of it."""
    return [trouble(rank, x=table(90 + rank)), trouble(rank, options={"batch_size": 16 + rank})]


def trouble(rank, x=None, **more):
    try:
        run(make(), table(90) if x is None else x, **more)
    except UsageError as error:
        return str(error)
    return None


def stop_in_the_second_rank(rank, folder, steps, shard):
    """Stop after so many steps, as the second rank wants to; the first writes the checkpoint."""
    options = Checkpoints(folder=folder, resume=True)
    model = make(posterior="quantized:codes=8,dimension=1")
    history = run(
        model, table(90), checkpoints=options, stop_after=steps if rank else None, options=LONG, shard=shard
    )
    return history.stopped


LONG = {"batch_size": 25, "epochs": 8}


def resume(rank, folder, shard):
    """Go on with that, to the end."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = make(posterior="quantized:codes=8,dimension=1")
        options = Checkpoints(folder=folder, resume=True)
        history = run(model, table(90), checkpoints=options, options=LONG, shard=shard)
    return numbers(history), weights(model), [str(warning.message) for warning in told]


def fit_estimator(rank):
    """Fit without a seed: that of rank 0 is everybody's; the model, and what the user's function was called with."""
    called = []
    estimator = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=2)
    estimator.fit(table(90).numpy(), on_epoch=lambda metrics, best: called.append(metrics.epoch))
    return weights(estimator.model_), called


def fit_rows_with_holes(rank):
    """Fit rows of which cells are missing; the model, and its last bound."""
    rows = table(90).numpy()
    rows[::3, 1] = rows[5, :] = float("nan")
    estimator = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=3, random_state=0).fit(rows)
    return weights(estimator.model_), estimator.history_.epochs[-1].validation_bound


def be_killed(rank, folder, steps, shard):
    """The last rank is killed in a step; the others say what they end with."""
    stop = StopRequest()
    if rank == 2:
        untyped(stop).ask = lambda: os.kill(os.getpid(), signal.SIGKILL)
    objective = stop_after_steps(parse("objective", "elbo").build(), steps if rank == 2 else -1, stop)
    options = Checkpoints(folder=folder)
    try:
        train_with(
            make(),
            objective,
            table(90),
            table(20),
            settings=settings(**LONG),
            checkpoints=options,
            shard=shard,
        )
    except ProcessLostError as error:
        return str(error)
    return None
