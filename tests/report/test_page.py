"""The page shows the results' numbers, stands alone, escapes what it is given, and leaves out what it cannot show."""

import gc
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure

from vaekit import VariationalAutoencoder
from vaekit.data import Dataset
from vaekit.report import render_report
from vaekit.report.numbers import estimate
from vaekit.report.provenance import command

HOSTILE = '<script>alert("x")</script>'
NAMES = (HOSTILE, "$x_{$", "_under", 'id="a" #0072b2', "constant")


class _Page(HTMLParser):
    """Elements, attributes and text of a page; complains of elements left open."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr", "wbr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _sections(page: _Page) -> set[str]:
    return {
        attributes["id"] or "" for tag, attributes in page.elements if tag == "section" and "id" in attributes
    }


def _table_data(labels: bool = True) -> Dataset:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=(60, 4)) * [1, 10, 0.1, 1], np.full(60, 3.0)])
    return Dataset(x, "table", NAMES, np.arange(60) % 3 if labels else None, source=f"/data/{HOSTILE}")


def _image_data(channels: int) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, size=(40, channels, 6, 5), dtype=np.uint8)
    return Dataset(pixels, "images", None, None, source="photos")


def _fit(data: Dataset, latent: int) -> VariationalAutoencoder:
    estimator = VariationalAutoencoder(
        latent, network="mlp:hidden=8", epochs=2, random_state=0, likelihood="gaussian", patience=None
    )
    return estimator.fit(data.take(np.arange(30)))


@pytest.fixture(scope="module")
def table() -> VariationalAutoencoder:
    return _fit(_table_data(), 3)


def _render(
    estimator: VariationalAutoencoder, data: Dataset, *, shown: bool = True, evaluated: bool = True
) -> tuple[str, _Page]:
    train, test = data.take(np.arange(30)), data.take(np.arange(30, len(data)))
    results = {"test": estimator.evaluate(test, samples=20, split="test", train=train)} if evaluated else {}
    artifact = estimator.to_artifact(
        {"source": data.source, "hash": data.hash(), "rows": len(data), "validation": 0.1}
    )
    html = render_report(estimator, artifact, test if shown else None, results)
    return html, _Page(html)


@pytest.fixture(scope="module")
def whole(table: VariationalAutoencoder) -> tuple[str, _Page]:
    """The page of a table with everything on it."""
    return _render(table, _table_data())


def test_the_page_shows_the_results_and_how_they_were_made(
    table: VariationalAutoencoder, whole: tuple[str, _Page]
) -> None:
    data = _table_data()
    html, page = whole
    result = table.evaluate(
        data.take(np.arange(30, 60)), samples=20, split="test", train=data.take(np.arange(30))
    )
    text = " ".join(page.text)
    for value in (result.elbo, result.log_likelihood, *(b.log_likelihood for b in result.baselines)):
        assert estimate(value) in text
    for baseline in result.baselines:
        assert baseline.name in text
    for fact in (
        data.hash(),
        "constant",
        "standardize",
        "asked for",
        torch.__version__,
    ):
        assert fact in text
    assert str(table.sentence_.likelihood) in "".join(page.text)
    assert _sections(page) == {"training", "reconstructions", "samples", "effects", "latent", "made"}
    active = sum(value > 0.01 for value in result.kl_per_dimension or [])
    assert f"{active} of 3 dimensions active" in text
    assert html == _render(table, data)[0], "the same arguments, the same bytes"


def test_the_page_stands_alone(whole: tuple[str, _Page]) -> None:
    html, page = whole
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "img", "base", "form"}
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "action"):
                assert (value or "").startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"https?://", html)
    assert not re.search(r"url\((?!#)|@import", html)
    assert len(html) < 2_000_000


def test_identifiers_are_unique_and_references_arrive(whole: tuple[str, _Page]) -> None:
    html, page = whole
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', html))
    assert references
    assert references <= set(identifiers)


def test_hostile_names_are_shown_as_text(whole: tuple[str, _Page]) -> None:
    html, page = whole
    assert HOSTILE not in html
    text = "".join(page.text)
    assert HOSTILE in text
    for name in NAMES:
        assert name in text


def test_every_picture_has_words(whole: tuple[str, _Page]) -> None:
    _, page = whole
    pictures = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(pictures) > 8
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in pictures)


def test_without_rows_and_results_the_page_says_so(table: VariationalAutoencoder) -> None:
    _, page = _render(table, _table_data(), shown=False, evaluated=False)
    assert _sections(page) == {"training", "effects", "latent", "made"}
    text = " ".join(page.text)
    assert "No rows to show" in text
    assert "The model has not been evaluated" in text
    assert "Numbers" not in [part.strip() for part in page.text]


@pytest.mark.parametrize(
    ("channels", "latent", "walk"),
    [(1, 2, "manifold"), (3, 4, "traversals"), (1, 1, "traversals"), (2, 2, "manifold")],
)
def test_images(channels: int, latent: int, walk: str) -> None:
    data = _image_data(channels)
    _, page = _render(_fit(data, latent), data, evaluated=False)
    assert _sections(page) == {"training", "reconstructions", "samples", walk, "latent", "made"}


@pytest.mark.parametrize("latent", [1, 2])
def test_one_column_and_few_dimensions(latent: int) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 1))
    data = Dataset(rows, "table", ("height",), None, source="one.csv")
    _, page = _render(_fit(data, latent), data)
    assert "latent" in _sections(page)


def test_matplotlib_is_left_as_it_was(table: VariationalAutoencoder) -> None:
    with rc_context({"font.size": 23.0, "text.usetex": True}):
        before, figures = dict(rcParams), _figures()
        _render(table, _table_data(), evaluated=False)
        assert dict(rcParams) == before
        assert _figures() <= figures, "figures are gone when the page is made"


def _figures() -> int:
    gc.collect()
    return sum(type(thing) is Figure for thing in gc.get_objects())


def test_the_command_fits_again_what_it_describes(table: VariationalAutoencoder) -> None:
    artifact = table.to_artifact({"source": "my data.csv", "validation": 0.1})
    words = shlex.split(command(artifact) or "")
    assert words[:3] == ["vaekit", "fit", "my data.csv"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options["--likelihood"] == str(table.sentence_.likelihood)
    assert options["--latent"] == "3"
    assert options["--patience"] == "none"
    assert command(table.to_artifact({})) is None
