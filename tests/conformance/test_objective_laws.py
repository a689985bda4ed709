"""Laws of every objective in the sentence: what holds whatever it maximises."""

import inspect
import types
import typing

import pytest
import torch
from torch.distributions import Independent, Normal

from narrowing import known, untyped
from vaekit.contracts import PosteriorTraits
from vaekit.errors import UsageError
from vaekit.objectives import Elbo, Schedule
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae, parse
from vaekit.training import has_opponent

KINDS = list(PARTS["objective"])
VARIANTS = [
    *KINDS,
    "elbo:free_bits=0.1",
    "elbo:capacity=3,beta=10",
    "elbo:beta=linear:0.1..1/10",
    "iwae:gradient=dreg",
    "iwae:gradient=stl",
    "renyi:alpha=3",
    "renyi:alpha=-3",
    "tc:estimator=mws",
    "dip:kind=1",
    "mmd:alpha=0.5,weight=10,kernel=rbf",
    "mmd point",
    "adversarial point",
    "vae-gan:gamma=0.1",
    "rae:penalty=gradient",
    "rae:penalty=spectral",
    "rae:penalty=none",
    "m2:alpha=3",
]  # an objective, and a posterior where it is not the usual one
COMPILED = ["elbo:beta=linear:0..1/10,free_bits=0.1", "iwae:gradient=dreg", "iwae:gradient=stl", *KINDS[2:]]
DETERMINISTIC = {"rae"}  # kinds for the posterior point alone
SEPARATE = {"vae-gan"}  # kinds whose parts follow gradients of their own, not that of the surrogate's value
OWN_NOISE = {"rae:penalty=gradient"}  # what draws more than the posterior does
LABELS = 3  # of what an objective learns that learns labels
PER_BATCH = {"tc", "dip", "mmd"}  # kinds with a penalty of the whole batch, or an estimate from it


def options(kind):
    signature = inspect.signature(PARTS["objective"][kind], eval_str=True)
    return {name: parameter.annotation for name, parameter in signature.parameters.items()}


def is_scheduled(annotation):
    return isinstance(annotation, types.UnionType) and Schedule in typing.get_args(annotation)


SCALARS = [(kind, name) for kind in KINDS for name, a in options(kind).items() if is_scheduled(a)]
NUMBERS = [
    (kind, name, a)
    for kind in KINDS
    for name, a in options(kind).items()
    if {float, int} & ({a} | set(typing.get_args(a)))
]


def posterior_of(text):
    return text.partition(" ")[2] or ("point" if text.partition(":")[0] in DETERMINISTIC else "diagonal")


def build(text, rows=1000, dtype=torch.float64):
    """The objective, told what the training loop would tell it."""
    objective = parse("objective", text.partition(" ")[0]).build()
    if hasattr(objective, "begin"):
        objective.begin(rows=rows)
    if has_opponent(objective):
        with seeded(3):
            objective.build_opponent(make(text, dtype=dtype))
    return objective


def make(text="elbo", likelihood="gaussian", dtype=torch.float64):
    """A model for the objective."""
    sentence = Sentence.parse(
        network="mlp:hidden=8",
        posterior=posterior_of(text),
        likelihood=likelihood,
        objective=text.partition(" ")[0],
    )
    with seeded(0):
        return build_vae(sentence, (5,), latent=3, condition=LABELS if learns_labels(text) else 0).to(dtype)


def data(n=7, dtype=torch.float64):
    with seeded(1):
        return torch.rand(n, 5, dtype=dtype)


def learns_labels(text):
    return parse("objective", text.partition(" ")[0]).part.traits.needs_classifier


def labels(x):
    """A label of each row, and none of every second, that follow from the row alone."""
    one_hot = torch.nn.functional.one_hot((1000 * x[:, 0]).long() % LABELS, LABELS)
    return (one_hot * ((1000 * x[:, 1]).long() % 2)[:, None]).to(x.dtype)


def labels_of(model, x):
    """What is given beside the rows: labels, where the model learns them."""
    return (labels(x),) if "classifier" in model.parts else ()


def run(objective, model, x):
    with seeded(2):
        return objective(model, x, *labels_of(model, x))


@pytest.mark.parametrize("text", VARIANTS)
def test_it_is_built_from_its_string_and_comes_back(text):
    spec = parse("objective", text.partition(" ")[0])
    assert parse("objective", str(spec)) == spec
    assert type(spec.build()) is PARTS["objective"][spec.kind]
    assert not isinstance(spec.build(), torch.nn.Module)


@pytest.mark.parametrize("text", VARIANTS)
def test_results_are_one_number_an_example_and_finite(text):
    model = make(text)
    result = run(build(text), model, data())
    for value in (result.bound, result.surrogate, result.reconstruction):
        assert value.shape == (7,)
        assert value.isfinite().all()
    if model.has_density:
        assert result.kl_per_dimension.shape == (7, 3)
        if learns_labels(text):  # the divergence of label and latent together
            torch.testing.assert_close(result.reconstruction - result.kl, result.bound)
        else:
            torch.testing.assert_close(result.kl, run(Elbo(), make(text), data()).kl)
    else:
        assert result.kl_per_dimension is None
        assert torch.equal(result.kl, torch.full((7,), torch.inf, dtype=torch.float64)), "there is no bound"


@pytest.mark.parametrize("text", VARIANTS)
def test_its_gradient_reaches_every_parameter_and_a_step_is_finite_and_helps(text):
    model, objective, x = make(text), build(text), data(20)
    before = run(objective, model, x).surrogate.mean()
    before.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
    if text.partition(":")[0] in SEPARATE:
        return
    torch.optim.SGD(model.parameters(), lr=1e-5, maximize=True).step()
    assert run(objective, model, x).surrogate.mean() > before


@pytest.mark.parametrize("text", VARIANTS)
def test_a_batch_of_one_is_as_good_as_any(text):
    model = make(text)
    result = run(build(text), model, data(1))
    assert result.bound.shape == result.surrogate.shape == (1,)
    result.surrogate.mean().backward()
    assert result.surrogate.isfinite().all()
    assert all(known(parameter.grad).isfinite().all() for parameter in model.parameters())


class OwnNoise(Normal):
    """A Gaussian whose draws depend on its own parameters and on nothing else."""

    def rsample(self, sample_shape=()):
        k = torch.arange(1, 1 + (sample_shape[0] if sample_shape else 1), dtype=self.loc.dtype)
        noise = torch.sin(37 * k[:, None, None] + 1e3 * self.loc)
        z = self.loc + self.scale * noise
        return z if sample_shape else z[0]


def with_noise_of_the_example(model):
    if not model.has_density:
        return model
    posterior = model.parts["posterior"]
    forward = posterior.forward
    posterior.forward = lambda f: Independent(OwnNoise(forward(f).mean, forward(f).stddev), 1)
    return model


@pytest.mark.parametrize("text", VARIANTS)
def test_an_example_does_not_depend_on_the_company_it_keeps(text):
    model, objective, x = with_noise_of_the_example(make(text)), build(text), data()
    model.eval()  # in training, a power iteration of the spectral norm moves on at every call
    alone, twice = run(objective, model, x), run(objective, model, torch.cat([x, x]))
    order = torch.tensor([3, 0, 6, 2, 1, 5, 4])
    permuted = run(objective, model, x[order])
    random = text.partition(" ")[0].partition(":")[0] in PER_BATCH | SEPARATE or text in OWN_NOISE
    for name in ("bound", "surrogate", "reconstruction", "kl"):
        if random and (name == "surrogate" or (name == "bound" and not model.has_density)):
            continue
        value = getattr(alone, name)
        torch.testing.assert_close(getattr(twice, name), torch.cat([value, value]), rtol=0, atol=1e-11)
        torch.testing.assert_close(getattr(permuted, name), value[order], rtol=0, atol=1e-11)


@pytest.mark.parametrize("text", VARIANTS)
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_extreme_weights_stay_finite_in_float32(text, size):
    model = make(text, "gaussian:scale=fixed,value=0.001", torch.float32)
    with torch.no_grad():  # posteriors far from the prior and from each other, log-weights of -1e14 nats
        encoder = model.parts["encoder"]
        untyped(getattr(encoder, "network", encoder).layers)[-1].weight.mul_(50)
    result = run(build(text, dtype=torch.float32), model, size * data(16, torch.float32))
    result.surrogate.mean().backward()
    for name, value in result._asdict().items():
        assert value is None or value.isfinite().all() or (name == "kl" and not model.has_density), name
    for name, parameter in model.named_parameters():
        assert known(parameter.grad).isfinite().all(), name


@pytest.mark.parametrize("text", VARIANTS)
def test_what_a_posterior_carries_is_subtracted_from_the_surrogate_and_not_from_the_bound(text):
    model, x = make(text).eval(), data()
    plain = run(build(text), model, x)
    posterior = model.parts["posterior"]
    forward = posterior.forward
    loss = torch.arange(7, dtype=torch.float64)

    def carrying(features):
        q = forward(features)
        q.auxiliary_loss = loss.repeat(len(features) // 7)
        return q

    posterior.forward = carrying
    result = run(build(text), model, x)
    torch.testing.assert_close(result.surrogate, plain.surrogate - loss)
    assert torch.equal(result.bound, plain.bound)


@pytest.mark.parametrize(("kind", "name"), SCALARS)
def test_a_schedule_moves_the_surrogate_and_never_the_bound(kind, name):
    schedule = Schedule("linear", 0.25, 1.0, 10)
    rest = ",alpha=1" if (kind, name) == ("mmd", "weight") else ""  # or the discrepancy would be rewarded
    objective = build(f"{kind}:{name}={schedule}{rest}")
    model, x = make(kind), data()
    seen = []
    for epochs in (0, 4, 10):
        objective.at(epochs)
        assert getattr(objective, name) == schedule(epochs)
        result = run(objective, model, x)
        constant = run(build(f"{kind}:{name}={schedule(epochs)!r}{rest}"), model, x)
        torch.testing.assert_close(result.surrogate, constant.surrogate)
        seen.append(result)
    assert all(torch.equal(result.bound, seen[0].bound) for result in seen)
    assert not torch.equal(seen[0].surrogate, seen[1].surrogate)
    assert not torch.equal(seen[1].surrogate, seen[2].surrogate)


def test_every_scalar_that_weighs_something_may_follow_a_schedule():
    constant = {
        ("elbo", "warmup"),
        ("mmd", "bandwidth"),
    }
    floats = {(kind, name) for kind, name, a in NUMBERS if a is float or float in typing.get_args(a)}
    assert floats - constant == set(SCALARS)


@pytest.mark.parametrize(("kind", "name", "annotation"), NUMBERS)
def test_values_that_make_no_sense_are_refused(kind, name, annotation):
    takes_floats = annotation is float or float in typing.get_args(annotation)
    wrong = ["nan", "inf", "-inf"] if takes_floats else ["0", "-1"]
    if takes_floats and (kind, name) not in {("renyi", "alpha"), ("mmd", "alpha")}:
        wrong.append("-1")
    for value in wrong:
        with pytest.raises(UsageError, match=rf"{kind}.*{name}={value}"):
            parse("objective", f"{kind}:{name}={value}").build()
    if (kind, name) in SCALARS:
        with pytest.raises(UsageError, match=name):
            parse("objective", f"{kind}:{name}=linear:0..nan/3").build()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("iwae", {"gradient": "drag"}),
        ("tc", {"estimator": "msw"}),
        ("mmd", {"kernel": "laplace"}),
        ("dip", {"kind": 3}),
        ("rae", {"penalty": "l1"}),
    ],
)
def test_words_that_are_not_known_are_refused_in_python_too(kind, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        PARTS["objective"][kind](**options)


@pytest.mark.filterwarnings(
    "ignore:.*autograd.function.Function.*should not be instantiated:DeprecationWarning"
)
@pytest.mark.parametrize("text", COMPILED)
def test_the_step_compiles_to_one_graph(text):
    model, objective, x = make(text), build(text), data()
    torch._dynamo.reset()
    compiled = torch.compile(lambda x, *c: objective(model, x, *c).surrogate, fullgraph=True, backend="eager")
    torch.testing.assert_close(
        run(lambda _, x, *c: compiled(x, *c), model, x), run(objective, model, x).surrogate
    )
    if objective.schedules:
        objective.at(5)
        torch.testing.assert_close(
            run(lambda _, x, *c: compiled(x, *c), model, x), run(objective, model, x).surrogate
        )


@pytest.mark.parametrize("posterior", ["full", "low-rank"])
def test_an_objective_that_needs_what_the_posterior_lacks_is_refused_when_the_model_is_built(posterior):
    sentence = Sentence.parse(posterior=posterior, objective="tc")
    with pytest.raises(UsageError, match="use posterior=diagonal"):
        build_vae(sentence, (5,), latent=3)
    for objective in ("dip:kind=2", "iwae:gradient=dreg", "iwae:gradient=stl"):
        build_vae(Sentence.parse(posterior=posterior, objective=objective), (5,), latent=3)


def test_the_check_needs_no_more_than_features_and_no_noise():
    class Unknown(Normal):
        pass

    def hidden(features):
        q = Unknown(features[:, :3], features[:, 3:].exp())
        untyped(q).network = network
        return q

    network = torch.nn.Linear(1, 1)
    model = make()
    posterior = model.parts["posterior"]
    posterior.forward = hidden
    for text, message in (
        ("tc", "use posterior=diagonal"),
        ("dip:kind=2", "use kind=1"),
        ("iwae:gradient=stl", "use gradient=standard"),
        ("iwae:gradient=dreg", "use gradient=standard"),
    ):
        state = torch.get_rng_state()
        with pytest.raises(UsageError, match=message):
            build(text).check(model)
        assert torch.equal(state, torch.get_rng_state())
    for text in ("iwae", "dip:kind=1"):
        build(text).check(model)
    untyped(posterior).traits = PosteriorTraits(needs=frozenset({"x"}))
    build("tc").check(model)
