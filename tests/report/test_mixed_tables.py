"""Categories stand on the page by name, with the accuracy and cross-entropy of the model's own probabilities."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from narrowing import known, untyped
from vaekit import VariationalAutoencoder
from vaekit.data import Dataset, read
from vaekit.report import render_report
from vaekit.report.drawing import _shorten, panel, theme
from vaekit.report.scene import Scene, Section
from vaekit.report.table_sections import effects, marginals, reconstructions

SPECIES = ("Adelie", "Chinstrap", "Gentoo")


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> tuple[VariationalAutoencoder, Dataset]:
    rng = np.random.default_rng(0)
    lines = ["species,bill,sex,eggs"]
    for _ in range(160):
        k = rng.integers(3)
        sex = "female" if rng.random() < 0.3 else "male"
        lines.append(f"{SPECIES[k]},{40 + 6 * k + rng.normal():.2f},{sex},{rng.integers(2)}")
    path: Path = tmp_path_factory.mktemp("birds") / "birds.csv"
    path.write_text("\n".join(lines))
    data = read(path)
    estimator = VariationalAutoencoder(4, network="mlp:hidden=16", epochs=40, random_state=0, patience=None)
    return estimator.fit(data), data


def draw(make: Callable[[Scene], Section | None], scene: Scene) -> Section:
    """Draw a section in the style of the page."""
    with theme():
        section = make(scene)
    assert section is not None
    return section


def test_accuracy_and_cross_entropy_are_those_of_the_decoder(
    birds: tuple[VariationalAutoencoder, Dataset],
) -> None:
    estimator, data = birds
    section = draw(reconstructions, Scene.of(estimator, data, None))
    whole = " ".join(str(picture.svg) for picture in section.pictures)
    labels = re.findall(r'aria-label="([^"]*)"', whole)
    with torch.no_grad():
        p = estimator.model_.decode(torch.from_numpy(estimator.transform(data)))
    logits = next(
        part.base_dist.logits
        for part in untyped(p).base.parts
        if part.base_dist.__class__.__name__ == "_Categories"
    )
    place = known(estimator.schema_.column_names).index("species")
    codes, probabilities = data.values[:, place].astype(int), logits[:, 0].double().softmax(-1).numpy()
    accuracy = accuracy_score(codes, probabilities.argmax(axis=1))
    cross_entropy = log_loss(codes, probabilities, labels=range(3))
    told = next(label for label in labels if "species" in label)
    assert f"accuracy {accuracy:.2f} (guess {np.bincount(codes).max() / len(codes):.2f})" in told
    assert f"cross-entropy {cross_entropy:.2f} (guess" in told
    assert not [label for label in labels if "R²" in label and "bill" not in label], "R² is for numbers"
    assert "1 column of numbers" in section.text
    for name in (*SPECIES, "female", "male", "sex: share right", "eggs: share right"):
        assert f">{name}<" in whole


def test_samples_of_categories_are_compared_by_name(birds: tuple[VariationalAutoencoder, Dataset]) -> None:
    estimator, data = birds
    section = draw(marginals, Scene.of(estimator, data, None))
    whole = " ".join(str(picture.svg) for picture in section.pictures)
    assert all(f">{name}<" in whole for name in (*SPECIES, "species: share of rows"))
    samples = estimator.sample(2000, random_state=0, noise=True)
    place = known(estimator.schema_.column_names).index("species")
    shares = [np.bincount(v[:, place].astype(int), minlength=3) / len(v) for v in (data.values, samples)]
    expected = abs(shares[0] - shares[1]).sum() / 2
    captions = {picture.caption for picture in section.pictures if "species" in str(picture.svg)[:200]}
    assert [c.split(",")[0] for c in captions] == [f"distance {expected:.2f}"]
    assert all(re.fullmatch(r"distance 0\.\d\d, by chance 0\.\d\d", p.caption) for p in section.pictures)


def test_effects_of_inactive_dimensions_are_hidden(birds: tuple[VariationalAutoencoder, Dataset]) -> None:
    estimator, data = birds
    section = draw(effects, Scene.of(estimator, data, [0.0, 2.0, 0.001, 1.0]))
    svg = str(section.pictures[0].svg)
    assert {name for name in ("z₀", "z₁", "z₂", "z₃") if name in svg} == {"z₁", "z₃"}
    assert "Inactive dimensions are left out." in section.pictures[0].caption
    assert all(f">{name}<" in svg for name in ("species: Adelie", "sex: male", "bill", "eggs"))
    dead = draw(effects, Scene.of(estimator, data, [0.0] * 4))
    assert (dead.pictures, dead.text) == ([], "No latent dimension is active, so none has an effect.")


def test_the_page_of_a_conditional_model_has_categories_too(
    birds: tuple[VariationalAutoencoder, Dataset],
) -> None:
    _, data = birds
    species = np.array(SPECIES)[data.values[:, known(data.columns).index("species")].astype(int)]
    rest = data.values[:, [j for j, name in enumerate(known(data.columns)) if name != "species"]]
    estimator = VariationalAutoencoder(
        2, network="mlp:hidden=8", epochs=2, random_state=0, condition="species"
    )
    names = tuple(name for name in known(data.columns) if name != "species")
    categories = tuple(known(data.categories)[known(data.columns).index(name)] for name in names)
    told = Dataset(
        rest, "table", names, None, source="t.csv", categories=categories, conditions={"species": species}
    )
    estimator.fit(told)
    html = render_report(estimator, estimator.to_artifact({}), told, {})
    assert "sex: share right" in html


def test_the_likelihoods_of_many_columns_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"measurement {j}" for j in range(9)]
    rows = [
        [*map(str, rng.normal(size=9)), "left" if rng.random() < 0.5 else "right", "1"] for _ in range(40)
    ]
    (tmp_path / "t.csv").write_text("\n".join(map(",".join, [[*names, "side", "same"], *rows])))
    data = read(tmp_path / "t.csv")
    estimator = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=2, random_state=0).fit(data)
    html = render_report(estimator, estimator.to_artifact({}), data, {})
    assert "<code>mixed,<wbr> of 10 columns</code>" in html
    for name, kind in [*((name, "gaussian") for name in names), ("side", "bernoulli")]:
        assert f"<dt>{name}</dt><dd>{kind}</dd>" in html
    assert html.count("gaussianxgaussian") == 0, "there is no command without a source"


@pytest.mark.parametrize(
    ("words", "most", "left"),
    [
        ("education: share of rows", 200, "education: share of rows"),
        ("education: share of rows", 80, "education: share"),
        ("education: share of rows", 50, "education"),
        ("education: share of rows", 30, "edu…"),
        ("education", 30, "edu…"),
    ],
)
def test_a_label_that_is_too_long_keeps_the_name_of_its_column(words: str, most: float, left: str) -> None:
    with theme():
        ax = panel()
        ax.set_xlabel(words)
        _shorten(ax.xaxis.label, most)
    assert ax.get_xlabel() == left
