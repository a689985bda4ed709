"""The grammar: strict, round-tripping, and helpful about mistakes."""

import pytest

from vaekit.contracts import PosteriorTraits, PriorTraits
from vaekit.errors import UsageError
from vaekit.objectives import Schedule
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior
from vaekit.sentence import PARTS, Sentence, build_vae, parse

ELBO = {"beta": 1.0, "free_bits": 0.0, "capacity": None, "warmup": 0.0}

MLP = {"normalisation": "none", "dropout": 0.0, "initialisation": "default", "shortcut": False}
EXAMPLES = [
    ("network", "mlp", MLP | {"hidden": (256, 256, 256), "activation": "gelu"}),
    ("network", "mlp:hidden=200x100", MLP | {"hidden": (200, 100), "activation": "gelu"}),
    ("network", "mlp:hidden=none,activation=tanh", MLP | {"hidden": (), "activation": "tanh"}),
    ("likelihood", "gaussian:scale=per-dimension", {"scale": "per-dimension", "value": 1.0}),
    ("likelihood", "gaussian:scale=fixed,value=1e-2", {"scale": "fixed", "value": 0.01}),
    ("objective", "elbo:beta=4", ELBO | {"beta": 4.0}),
    ("objective", " elbo : beta = 4 ".replace(" : ", ":"), ELBO | {"beta": 4.0}),
    ("objective", "elbo:beta=linear:0..1/10", ELBO | {"beta": Schedule("linear", 0.0, 1.0, 10.0)}),
    (
        "objective",
        "elbo:capacity=cosine:0..2.5e1/1e2,beta=1000",
        ELBO | {"beta": 1000.0, "capacity": Schedule("cosine", 0.0, 25.0, 100.0)},
    ),
    ("objective", "elbo:capacity=none", ELBO),
    ("objective", "iwae", {"samples": 50, "gradient": "standard"}),
    ("objective", "iwae:samples=5,gradient=dreg", {"samples": 5, "gradient": "dreg"}),
    ("posterior", "diagonal", {}),
]


@pytest.mark.parametrize(("room", "text", "options"), EXAMPLES)
def test_options_are_read_with_their_types(room, text, options):
    spec = parse(room, text)
    assert spec.options == options
    assert all(type(value) is type(options[name]) for name, value in spec.options.items())


@pytest.mark.parametrize(("room", "kind"), [(room, kind) for room in PARTS for kind in PARTS[room]])
def test_every_kind_round_trips_through_its_string(room, kind):
    spec = parse(room, kind)
    assert parse(room, str(spec)) == spec


@pytest.mark.parametrize(
    ("room", "text", "message"),
    [
        ("network", "mpl", "unknown network 'mpl'; did you mean 'mlp'?"),
        ("likelihood", "gausian:scale=fixed", "did you mean 'gaussian'?"),
        ("likelihood", "gaussian:scle=fixed", "no option 'scle'; did you mean 'scale'?"),
        ("likelihood", "gaussian:scale=learnd", "did you mean 'learned'?"),
        ("posterior", "diagonal:rank=3", "it takes no options"),
        ("objective", "elbo:beta=lots", "'lots' is not a number, nor a schedule such as linear:0..1/10"),
        ("objective", "elbo:beta=none", "'none' is not a number"),
        ("objective", "elbo:beta=liner:0..1/10", "unknown schedule 'liner'; did you mean 'linear'?"),
        (
            "objective",
            "elbo:beta=linear:0..1",
            "'linear:0..1' is not a schedule; write shape:start..end/epochs",
        ),
        ("objective", "elbo:beta=linear:0..1/10/3", "is not a schedule"),
        ("objective", "elbo:beta=linear:..1/10", "is not a schedule"),
        ("objective", "elbo:beta=linear:0..1/0", "give a positive number of epochs"),
        ("objective", "elbo:beta=linear:0..1/nan", "give a positive number of epochs"),
        ("objective", "elbo:beta=linear:0..inf/10", "give finite numbers"),
        ("objective", "elbo:warmup=linear:0..1/10", "is not a number"),
        ("objective", "iwae:samples=linear:1..9/10", "is not a whole number"),
        ("objective", "iwae:gradient=drag", "did you mean 'dreg'?"),
        ("network", "mlp:hidden=3.5", "'3.5' is not a whole number"),
        ("network", "mlp:", "ends in a colon"),
        ("network", "mlp:hidden", "not of the form key=value"),
        ("network", "mlp:hidden=", "not of the form key=value"),
        ("network", "mlp:hidden=2,hidden=3", "gives 'hidden' twice"),
        ("network", "", "unknown network ''"),
        ("network", None, "expected a string"),
    ],
)
def test_mistakes_are_named(room, text, message):
    with pytest.raises(UsageError) as caught:
        parse(room, text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("network", "mlp:hidden=0"),
        ("network", "convolutional:channels=none"),
        ("objective", "elbo:beta=-1"),
        ("objective", "elbo:beta=nan"),
    ],
)
def test_values_out_of_range_are_refused_when_built(room, text):
    with pytest.raises(UsageError):
        parse(room, text).build()


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_standard_deviation_is_positive_and_finite(value):
    with pytest.raises(UsageError, match="standard deviation"):
        parse("likelihood", f"gaussian:value={value}").build(event_shape=(3,))


def test_a_latent_space_has_a_dimension():
    with pytest.raises(UsageError, match="latent=0"):
        build_vae(Sentence.parse(), (3,), latent=0)


def test_convolutions_refuse_tables():
    with pytest.raises(UsageError, match="use mlp for tables"):
        build_vae(Sentence.parse(network="convolutional"), (3,), latent=2)


def test_the_sentence_says_every_option():
    sentence = Sentence.parse(network="mlp:hidden=none", likelihood="gaussian", objective="elbo:beta=2")
    assert sentence.to_json() == {
        "network": "mlp:hidden=none,activation=gelu,normalisation=none,dropout=0.0,initialisation=default,"
        "shortcut=false",
        "posterior": "diagonal",
        "prior": "standard",
        "likelihood": "gaussian:scale=learned,value=1.0",
        "objective": "elbo:beta=2.0,free_bits=0.0,capacity=none,warmup=0.0",
    }
    assert Sentence.parse(**sentence.to_json()) == sentence


class OnSphere(DiagonalPosterior):
    """A stand-in whose latents live on a sphere."""

    traits = PosteriorTraits(space="sphere")

    @property
    def shared(self):
        return {"curvature": 0.5}


class UniformOnSphere(StandardPrior):
    """A stand-in for its prior, which must know something of it."""

    traits = PriorTraits(space="sphere")

    def __init__(self, latent_shape, curvature):
        super().__init__(latent_shape)
        self.curvature = curvature


@pytest.fixture
def spheres(monkeypatch):
    monkeypatch.setitem(PARTS["posterior"]._known, "on-sphere", OnSphere)
    monkeypatch.setitem(PARTS["prior"]._known, "uniform-on-sphere", UniformOnSphere)


@pytest.mark.parametrize(
    ("posterior", "prior"), [("on-sphere", "standard"), ("diagonal", "uniform-on-sphere")]
)
def test_a_posterior_and_a_prior_of_different_spaces_are_refused(spheres, posterior, prior):
    def fitting(room, space):
        offered = {kind: part.traits.space for kind, part in PARTS[room].items()}
        return ", ".join(kind for kind, its in offered.items() if its in (space, "any"))

    spaces = ("sphere", "euclidean") if posterior == "on-sphere" else ("euclidean", "sphere")
    with pytest.raises(UsageError, match=f"posterior {posterior} and prior {prior} do not fit") as caught:
        build_vae(Sentence.parse(posterior=posterior, prior=prior), (3,), latent=2)
    assert f"Priors for {posterior}: {fitting('prior', spaces[0])};" in str(caught.value)
    assert str(caught.value).endswith(f"posteriors for {prior}: {fitting('posterior', spaces[1])}")


def test_a_prior_that_is_not_named_lives_where_the_posterior_does(spheres, monkeypatch):
    monkeypatch.setattr(
        PARTS["prior"], "_known", {"standard": StandardPrior, "uniform-on-sphere": UniformOnSphere}
    )
    assert Sentence.parse().prior.kind == "standard"
    sentence = Sentence.parse(posterior="on-sphere")
    assert sentence.prior.kind == "uniform-on-sphere"
    assert build_vae(sentence, (3,), latent=2).parts["prior"].curvature == 0.5


def test_a_prior_of_posteriors_lives_anywhere(spheres):
    sentence = Sentence.parse(posterior="on-sphere", prior="vamp:components=3")
    assert build_vae(sentence, (3,), latent=2).prior().event_shape == (2,)
