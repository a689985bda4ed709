"""Laws over the grid of sentences: every part with every other, whatever parts there are.

A sample of the grid with a fixed seed. ``VAEKIT_GRID=whole`` takes every posterior with every prior, likelihood and
objective (and the networks in turn) instead, ``VAEKIT_GRID=3/40`` the third fortieth of them.
"""

import copy
import itertools
import math
import os
import random
from collections import Counter

import pytest
import torch

from vaekit.errors import UsageError
from vaekit.evaluation import log_likelihood
from vaekit.objectives import Elbo
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae
from vaekit.sentence.registry import Room
from vaekit.training import has_opponent

# Small versions of parts whose defaults are large; every other kind is taken with its defaults.
SMALL = {
    "mlp": "mlp:hidden=6",
    "convolutional": "convolutional:channels=3,hidden=6",
    "residual": "residual:hidden=6",
    "residual-convolutional": "residual-convolutional:channels=3,blocks=1,hidden=6",
    "gated": "gated:hidden=6",
    "mixed": "mixed:columns=" + "x".join(["gaussian", "categorical3", "bernoulli", "negative-binomial"] * 3),
}
EVENT_SHAPE, LATENT = (1, 3, 4), 2
LABELS = 3  # where an objective learns labels
EACH, AT_LEAST, TRIES = 6, 3, 400  # accepted sentences a kind: aimed at, and required


def build(specs):
    """The sentence and its model."""
    sentence = Sentence.parse(**specs)
    with seeded(0):
        return sentence, make(sentence)


def make(sentence):
    """The model of a sentence, with a condition where its objective cannot do without."""
    needs = sentence.objective.part.traits.needs_classifier
    return build_vae(sentence, EVENT_SHAPE, LATENT, condition=LABELS if needs else 0)


def conditions(model, n):
    """Labels of rows, where the model is conditional."""
    return torch.eye(LABELS)[torch.arange(n) % LABELS] if "classifier" in model.parts else None


def half(c):
    """The same with every second label missing."""
    return None if c is None else c * (torch.arange(len(c)) % 2)[:, None]


def is_accepted(specs):
    """Whether the sentence can be built, rather than refused with a reason."""
    try:
        build(specs)
    except UsageError:
        return False
    return True


def choose() -> tuple[list[dict[str, str]], Counter]:
    """Sentences that can be built, with a fixed seed, so that every kind of every room is in several."""
    generator, counts = random.Random(0), Counter()
    chosen: list[dict[str, str]] = []
    for room in PARTS:
        for kind in PARTS[room]:
            for _ in range(TRIES):
                if counts[room, kind] >= EACH:
                    break
                kinds = {other: generator.choice(list(PARTS[other])) for other in PARTS} | {room: kind}
                specs = {name: SMALL.get(value, value) for name, value in kinds.items()}
                if specs not in chosen and is_accepted(specs):
                    chosen.append(specs)
                    counts.update(kinds.items())
    return chosen, counts


def grid() -> list[dict[str, str]]:
    """Every sentence that can be written, or a part of them; many cannot be built, and the refusal says why."""
    rooms: list[Room] = [room for room in PARTS if room != "network"]
    networks = itertools.cycle(PARTS["network"])
    written = [
        {"network": next(networks), **dict(zip(rooms, kinds, strict=True))}
        for kinds in itertools.product(*(PARTS[room] for room in rooms))
    ]
    random.Random(0).shuffle(written)
    part, _, of = os.environ["VAEKIT_GRID"].partition("/")
    chosen = written if part == "whole" else written[int(part) - 1 :: int(of)]
    return [{room: SMALL.get(kind, kind) for room, kind in specs.items()} for specs in chosen]


CHOSEN, COUNTS = choose()
SENTENCES = grid() if "VAEKIT_GRID" in os.environ else CHOSEN
FEW = CHOSEN[:: max(1, len(CHOSEN) // 20)]


@pytest.mark.parametrize(("room", "kind"), [(room, kind) for room in PARTS for kind in PARTS[room]])
def test_every_kind_is_in_several_sentences(room, kind):
    assert COUNTS[room, kind] >= AT_LEAST


def prepare(objective, model, rows):
    """Tell an objective what the training loop would."""
    if hasattr(objective, "begin"):
        objective.begin(rows=rows)
    if has_opponent(objective):
        objective.build_opponent(model)
    return objective


def data(model, n):
    """Draws of the model itself: valid under any likelihood."""
    with seeded(1):
        return model.sample(n, conditions(model, n))


def check_evidence(model, x, c):
    """The evidence is estimated whatever the posterior, and a row's value is its own."""
    if not model.has_log_likelihood:
        with pytest.raises(UsageError, match="no log-likelihood to report"):
            log_likelihood(model, x, c=c, samples=3)
        return
    with torch.no_grad(), seeded(7):
        estimated = log_likelihood(model, x, c=c, samples=3, common_noise=True)
    assert estimated.values.isfinite().all()
    one_row = 3 * 24 * max(256, math.prod(model.parts["likelihood"].feature_shape))  # bytes for its 3 samples
    with torch.no_grad(), seeded(7):
        flipped = log_likelihood(
            model, x.flip(0), c=None if c is None else c.flip(0), samples=3, common_noise=True, memory=one_row
        )
    torch.testing.assert_close(flipped.values.flip(0), estimated.values, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("specs", SENTENCES, ids=lambda s: "+".join(s.values()))
def test_every_sentence(specs):
    if SENTENCES is not CHOSEN and not is_accepted(specs):
        return  # refused, for a reason that tests of the refusals read
    sentence, model = build(specs)
    assert Sentence.parse(**sentence.to_json()) == sentence

    # one finite step, and a gradient for every parameter
    x = data(model, 6)
    assert x.shape == (6, *EVENT_SHAPE)
    c = conditions(model, 6)
    with seeded(2):
        result = prepare(sentence.objective.build(), model, len(x))(model, x, half(c))
    assert result.bound.shape == result.surrogate.shape == (6,)
    assert result.bound.isfinite().all()
    assert result.surrogate.isfinite().all()
    result.surrogate.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name

    # encode is deterministic, follows a permutation, and knows nothing of the company
    model.eval()
    with torch.no_grad():
        mean = model.encode(x, c).mean
        assert torch.equal(mean, model.encode(x, c).mean)
        flipped_c = None if c is None else c.flip(0)
        torch.testing.assert_close(
            model.encode(x.flip(0), flipped_c).mean, mean.flip(0), rtol=1e-4, atol=1e-5
        )
        twice = model.encode(torch.cat([x, x]), conditions(model, 12))
        torch.testing.assert_close(twice.mean[6:], mean, rtol=1e-4, atol=1e-5)
        one = conditions(model, 1)
        torch.testing.assert_close(model.encode(x[:1], one).mean, mean[:1], rtol=1e-4, atol=1e-5)

    # one noise vector an example, and importance samples outermost
    with torch.no_grad():
        many = conditions(model, 50)
        z = model.encode(x[:1].expand(50, *EVENT_SHAPE), many).sample(torch.Size((3,)))
        assert z.shape == (3, 50, *model.latent_shape)
        assert model.decode(z, many).log_prob(x[:1]).shape == (3, 50)
        assert model.log_joint(x, model.encode(x, c).sample(), c).shape == (6,)

    check_evidence(model, x, c)

    # an artifact can know the shapes of its tensors before it has them
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in make(sentence).state_dict().items()}
    assert shapes == {name: value.shape for name, value in model.state_dict().items()}

    # a copy and a reloaded model give the same bytes
    with seeded(3):
        again = make(sentence).eval()
    again.load_state_dict(model.state_dict())
    clone = copy.deepcopy(model)
    for other in (again, clone):
        with torch.no_grad():
            assert torch.equal(other.encode(x, c).mean, mean)
            with seeded(4):
                expected = model.sample(3, conditions(model, 3))
            with seeded(4):
                assert torch.equal(other.sample(3, conditions(model, 3)), expected)


@pytest.mark.parametrize("specs", FEW, ids=lambda s: "+".join(s.values()))
def test_one_example_alone_and_among_others(specs):
    sentence, model = build(specs)
    model.eval()
    x = data(model, 4)
    objective = prepare(sentence.objective.build(), model, len(x))
    for batch in (x[:1], x):
        with seeded(5):
            assert objective(model, batch, half(conditions(model, len(batch)))).bound.isfinite().all()


@pytest.mark.parametrize("specs", FEW, ids=lambda s: "+".join(s.values()))
def test_what_is_reported_does_not_depend_on_the_weights_of_what_is_differentiated(specs):
    _, model = build(specs)
    if not model.has_density:
        return  # no KL, and no bound
    x = data(model, 4)
    with seeded(6):
        plain = Elbo()(model, x, conditions(model, 4))
    with seeded(6):
        weighted = Elbo(beta=7.0)(model, x, conditions(model, 4))
    assert torch.equal(plain.bound, weighted.bound)
    assert not torch.equal(weighted.surrogate, weighted.bound)
