"""Parts of a program's own, and of packages: known to the grammar, the estimator and artifacts."""

import os
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Laplace

import vaekit
from narrowing import untyped
from vaekit import VariationalAutoencoder
from vaekit.contracts import Likelihood, LikelihoodTraits, Prior
from vaekit.errors import PartWarning, UsageError
from vaekit.likelihoods import COLUMN_KINDS, GaussianLikelihood, mixed
from vaekit.objectives import Elbo
from vaekit.priors import StandardPrior
from vaekit.sentence import PARTS, Sentence, imports_of, parse, register
from vaekit.sentence import registry as the_registry


class Peaked(nn.Module, Prior):
    """Independent Laplace distributions of a given scale."""

    def __init__(self, latent_shape, *, scale: float = 1.0):
        super().__init__()
        self.register_buffer("scale", torch.full(latent_shape, scale), persistent=False)

    def forward(self):
        return Independent(Laplace(torch.zeros_like(untyped(self.scale)), untyped(self.scale)), 1)


class Wide(GaussianLikelihood):
    """A Gaussian likelihood by another name."""

    kind = "wide"


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """What a test registers is forgotten after it."""
    for room in PARTS:
        monkeypatch.setattr(PARTS[room], "_known", dict(PARTS[room]._known))


def data():
    return np.random.default_rng(0).normal(size=(60, 3))


def test_a_registered_part_is_a_word_of_the_language():
    assert register("prior", "peaked", Peaked) is Peaked
    assert str(parse("prior", "peaked:scale=0.5")) == "peaked:scale=0.5"
    with pytest.raises(UsageError, match=r"unknown prior 'peked'; did you mean 'peaked'\?"):
        parse("prior", "peked")
    vae = VariationalAutoencoder(latent=2, prior="peaked:scale=0.5", epochs=2, random_state=0).fit(data())
    assert untyped(vae.model_.parts["prior"].scale).tolist() == [0.5, 0.5]


def test_a_class_or_a_partial_may_stand_for_its_name(tmp_path):
    register("prior", "peaked", Peaked)
    given = VariationalAutoencoder(
        latent=2, prior=partial(Peaked, scale=0.5), objective=Elbo, epochs=2, random_state=0
    ).fit(data())
    written = VariationalAutoencoder(latent=2, prior="peaked:scale=0.5", epochs=2, random_state=0).fit(data())
    np.testing.assert_array_equal(given.score_samples(data()), written.score_samples(data()))
    given.save(tmp_path / "given.vae")
    again = vaekit.load(tmp_path / "given.vae")
    np.testing.assert_array_equal(again.score_samples(data()), given.score_samples(data()))


def test_a_class_that_is_not_registered_is_known_by_its_dotted_name():
    sentence = Sentence.parse(prior=Peaked)
    assert str(sentence.prior) == f"{__name__}.Peaked:scale=1.0"
    assert Sentence.parse(**sentence.to_json()) == sentence


def test_what_is_no_class_says_why():
    with pytest.raises(
        UsageError, match=r"prior=.*expected a string .* parts are built when the data are known"
    ):
        Sentence.parse(prior=StandardPrior((2,)))
    with pytest.raises(UsageError, match=r"has no option 'scal'; did you mean 'scale'\?"):
        Sentence.parse(prior=partial(untyped(Peaked), scal=1.0))
    with pytest.raises(UsageError, match="expected a class"):
        Sentence.parse(prior=partial(Peaked, (2,)))


def test_a_column_may_be_of_a_registered_kind(monkeypatch):
    monkeypatch.setattr(mixed, "_KINDS", dict(mixed._KINDS))  # other tests list the kinds that there are

    class Heavy(Wide):
        traits = LikelihoodTraits(
            measure="density", scaling="standardize", column=True, column_options={"scale": "per-dimension"}
        )

    register("likelihood", "heavy", Heavy)
    assert "heavy" in COLUMN_KINDS
    built = parse("likelihood", "mixed:columns=heavyxbernoulli").build(event_shape=(2,))
    assert isinstance(built.groups[0], Heavy)


@pytest.mark.parametrize(
    ("room", "name", "part", "message"),
    [
        ("priors", "peaked", Peaked, r"room 'priors'; did you mean 'prior'\?"),
        ("prior", "Peaked", Peaked, "write lower-case letters"),
        ("prior", "standard", Peaked, r"registered already, as vaekit\.priors\..*StandardPrior"),
        ("prior", "peaked", Peaked((2,)), "expected a class"),
        ("prior", "peaked", nn.Linear, "prior Linear has no 'traits'"),
        ("likelihood", "bare", type("Bare", (nn.Module, Likelihood), {}), "likelihood Bare has no 'traits'"),
    ],
)
def test_what_cannot_be_registered(room, name, part, message):
    with pytest.raises(UsageError, match=message):
        register(room, name, part)


class Point:
    """An entry point."""

    def __init__(self, name, loaded):
        self.name, self.loaded, self.value, self.dist = name, loaded, "package:part", None

    def load(self):
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def test_packages_are_read_again_when_a_folder_of_them_has_changed(monkeypatch, tmp_path):
    points, read = [], []

    def entry_points(group):
        read.append(group)
        return list(points)

    monkeypatch.setattr(the_registry, "entry_points", entry_points)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert "peaked" not in PARTS["prior"]
    assert "flat" not in PARTS["prior"]
    assert read == ["vaekit.parts"], "once for all questions"
    points.append(Point("prior.peaked", Peaked))
    os.utime(tmp_path, ns=(0, 0))
    assert "peaked" in PARTS["prior"]
    assert len(read) == 2


def test_a_broken_package_costs_only_its_own_part(monkeypatch):
    points = [Point("prior.peaked", Peaked), Point("prior.broken", ImportError("no module named 'that'"))]
    monkeypatch.setattr(the_registry, "entry_points", lambda group: points if group == "vaekit.parts" else [])
    assert parse("prior", "peaked").part is Peaked
    with pytest.raises(
        UsageError, match=r"prior 'broken' of the package .* ImportError: no module named 'that'"
    ):
        parse("prior", "broken")
    with pytest.warns(PartWarning, match="prior 'broken'"):
        assert "peaked" in list(PARTS["prior"])
    assert imports_of([("prior", "peaked"), ("posterior", "diagonal")]) == [
        {"room": "prior", "kind": "peaked", "module": Peaked.__module__, "package": ""}
    ]
