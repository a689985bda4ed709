"""The page in a real browser: decodes under the pointer, sliders that move the picture, a CSV with the right rows."""

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import uvicorn
from sklearn.datasets import load_digits, load_wine

from narrowing import known, untyped
from vaekit import ExplorationPage, VariationalAutoencoder
from vaekit.data import Dataset, from_object
from vaekit.explorer import Exploration
from vaekit.explorer.web_app import web_app

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")

Page = Any
DIGITS, WINE = untyped(load_digits()), untyped(load_wine())


def model_of(data: Dataset, latent: int) -> VariationalAutoencoder:
    return VariationalAutoencoder(latent, network="mlp:hidden=16", epochs=8, random_state=0).fit(data)


@pytest.fixture(scope="module")
def images() -> Exploration:
    data = from_object(DIGITS.images[:400, None].astype(np.uint8))
    return Exploration(model_of(data, 3), replace(data, labels=DIGITS.target[:400]), name="digits")


@pytest.fixture(scope="module")
def table() -> Exploration:
    data = from_object(pd.DataFrame(WINE.data, columns=WINE.feature_names))
    return Exploration(model_of(data, 2), replace(data, labels=WINE.target), name="wine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])


@contextmanager
def serving(exploration: Exploration) -> Iterator[tuple[str, uvicorn.Server]]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = web_app(exploration, "token")
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/token/", server
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def opened(browser: Any, address: str, colours: str = "light") -> Iterator[Page]:
    """Open a page, and see that nothing was complained of and nothing was asked of another machine."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=colours)
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("html[data-ready]", timeout=30_000)
    yield page
    page.close()
    assert complaints == []
    home = address.partition("/token/")[0]
    assert [url for url in asked if not url.startswith((home, "data:", "blob:"))] == []


def pixel_of(page: Page, row: int) -> tuple[float, float]:
    return page.evaluate(
        """row => {
          const {box, across, up} = geometry();
          return [box.left + box.width * (places.x[row] - across[0]) / (across[1] - across[0]),
                  box.bottom - box.height * (places.y[row] - up[0]) / (up[1] - up[0])];
        }""",
        row,
    )


def picture(page: Page, figure: str) -> str:
    return page.get_attribute(f"#{figure} img", "src")


def require_no_sideways_scroll(page: Page) -> None:
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(100)
        beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(beyond) <= 0, width
    page.set_viewport_size({"width": 1280, "height": 900})


def corner(page: Page) -> tuple[float, float]:
    """A place of the map where no row is."""
    box = page.locator(".nsewdrag").bounding_box()
    return box["x"] + 0.98 * box["width"], box["y"] + 0.02 * box["height"]


def test_the_page_of_images(browser, images, tmp_path):
    with serving(images) as (address, _), opened(browser, address) as page:
        # a place without rows is decoded: the picture is the one that Python gives for it
        page.mouse.move(*corner(page))
        page.wait_for_function("document.querySelector('#facts').textContent.startsWith('z = ')")
        page.wait_for_timeout(200)  # the newest answer
        order, cursor = images.shown.order, page.evaluate("cursor")
        expected = images.decode_place(
            tuple(cursor), images.description()["start"], kind="dimensions", first=order[0], second=order[1]
        )
        assert picture(page, "at-cursor") == expected["image"]
        # a row is shown with its reconstruction
        row = int(images.shown.latents[:, order[0]].argmax())
        page.mouse.move(*pixel_of(page, row))
        page.wait_for_function(f"document.querySelector('#facts').textContent.startsWith('Image {row},')")
        answer = images.row(row)
        assert picture(page, "original") == answer["original"]["image"]
        assert picture(page, "reconstruction") == answer["reconstruction"]["image"]
        assert f"label {DIGITS.target[row]}" in page.inner_text("#facts")
        # its slider moves the picture
        slider = page.locator(f"#slider-{order[0]}")
        slider.fill(slider.get_attribute("min"))
        page.wait_for_selector("#at-cursor:not([hidden]) img")
        z = answer["z"]
        z[order[0]] = float(slider.input_value())
        page.wait_for_function(
            "src => document.querySelector('#at-cursor img').src === src", arg=images.decode(z)["image"]
        )
        # two rows, and the walk between them
        other = int(images.shown.latents[:, order[0]].argmin())
        for place in (row, other):
            page.mouse.click(*pixel_of(page, place))
        page.wait_for_selector("#walk img >> nth=8")
        assert f"From image {row} (A) to image {other} (B)" in page.inner_text("#walk-facts")
        assert page.locator("#near img").count() == 8
        # of two typical rows it is there without a click
        (first, _), (second, _), *_ = images.typical
        page.select_option("#walk-from", str(first))
        page.select_option("#walk-to", str(second))
        page.wait_for_function(
            f"document.querySelector('#walk-facts').textContent.startsWith('From image {first} (A) to image {second}')"
        )
        # a class of the legend, and its rows as a file
        page.click("#legend button >> nth=3")
        page.wait_for_selector("#chosen-means img >> nth=1")
        require_no_sideways_scroll(page)
        with page.expect_download() as download:
            page.click("#csv")
        download.value.save_as(tmp_path / "chosen.csv")
        read = pd.read_csv(tmp_path / "chosen.csv")
        assert read["row"].tolist() == np.flatnonzero(DIGITS.target[:400] == 3).tolist()


def test_the_page_of_a_table_and_its_lasso(browser, table, tmp_path):
    with serving(table) as (address, _), opened(browser, address, colours="dark") as page:
        page.mouse.move(*corner(page))
        page.wait_for_selector("#values tbody tr >> nth=12")
        assert "usual range" in page.inner_text("#values thead")
        # around some rows: those inside are chosen, and saved
        pixels = np.array([pixel_of(page, row) for row in range(178)])
        left, top, right, bottom = [*np.quantile(pixels, 0.3, axis=0), *np.quantile(pixels, 0.8, axis=0)]
        page.mouse.move(left, top)
        page.mouse.down()
        for x, y in ((right, top), (right, bottom), (left, bottom), (left, top + 1)):
            page.mouse.move(x, y, steps=4)
        page.mouse.up()
        page.wait_for_selector("#apart tbody tr")
        margins = np.minimum(pixels - [left, top], [right, bottom] - pixels).min(
            1
        )  # inside they are positive
        chosen = page.evaluate("[...chosen].sort((a, b) => a - b)")
        assert set(np.flatnonzero(margins > 3)) <= set(chosen) <= set(np.flatnonzero(margins > -3))
        assert len(chosen) > 20
        require_no_sideways_scroll(page)
        with page.expect_download() as download:
            page.click("#csv")
        download.value.save_as(tmp_path / "chosen.csv")
        read = pd.read_csv(tmp_path / "chosen.csv")
        assert read["row"].tolist() == chosen
        np.testing.assert_allclose(read[WINE.feature_names], WINE.data[chosen])
        first = table.selection(chosen)["columns"][0]
        assert page.inner_text("#apart tbody tr >> nth=0").split("\t")[:3] == [
            first["name"], first["here"], first["there"]
        ]  # fmt: skip
        page.click("#let-go")
        assert "None" in page.inner_text("#chosen-facts")
        # other maps and other colours
        page.select_option("#colour", "log_likelihood")
        page.wait_for_function(
            "document.querySelector('#scale').textContent.includes('nats')", timeout=30_000
        )
        page.select_option("#kind", "components")
        page.wait_for_function("places.names[0].startsWith('first principal')")
        np.testing.assert_allclose(
            page.evaluate("[places.x[5], places.y[5]]"), table.map_of("components", 0, 0).places[5], rtol=1e-5
        )
        titles = page.evaluate(
            "[...document.querySelectorAll('.modebar-btn')].map(button => button.dataset.title)"
        )
        assert "Lasso Select" in titles
        assert not [title for title in titles if "hare" in title or "loud" in title]


def test_by_keyboard_alone_and_until_the_server_ends(browser, table):
    with serving(table) as (address, server):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("html[data-ready]", timeout=30_000)
        page.focus("#map")
        before = page.evaluate("cursor")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowUp")
        after = page.evaluate("cursor")
        assert after[0] > before[0]
        assert after[1] > before[1]
        page.keyboard.press("Enter")
        page.wait_for_selector("#near-section:not([hidden]) #near button >> nth=7")
        page.wait_for_function("document.querySelector('#facts').textContent.startsWith('Row ')")
        page.wait_for_function("document.querySelector('#spoken').textContent.startsWith('Row ')")
        page.keyboard.press("Escape")
        page.wait_for_selector("#near-section", state="hidden")
        page.fill("#nearest-count", "10")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "document.querySelector('#chosen-facts').textContent.startsWith('10 of 178 rows')"
        )
        nameless = page.evaluate(
            """[...document.querySelectorAll("button, input, select, [role=application]")].filter(
              field => !(field.labels?.length || field.getAttribute("aria-label") || field.textContent.trim())
            ).map(field => field.outerHTML)"""
        )
        assert nameless == []
        server.should_exit = True
        page.wait_for_selector("#alarm:not([hidden])", timeout=10_000)
        assert "The server has ended" in page.inner_text("#alarm")
        page.close()


def test_a_page_of_one_file(browser, images, tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text(ExplorationPage.of(images.estimator, images.shown.rows, name="digits").html)
    with opened(browser, file.as_uri()) as page:
        page.mouse.move(*corner(page))
        page.wait_for_selector("#at-cursor:not([hidden]) img")
        before = picture(page, "at-cursor")
        page.mouse.click(*pixel_of(page, 7))
        page.wait_for_selector("#near img >> nth=7")
        assert page.inner_text("#facts").startswith("Image 7, label 7")
        assert picture(page, "original") == images.row(7)["original"]["image"]
        # the walk between two typical rows, and back
        (first, _), *_, (last, _) = images.typical
        for ends in ((first, last), (last, first)):
            for select, row in zip(("#walk-from", "#walk-to"), ends, strict=True):
                page.select_option(select, str(row))
            page.wait_for_function(
                "words => document.querySelector('#walk-facts').textContent.startsWith(words)",
                arg=f"From image {ends[0]} (A) to image {ends[1]} (B)",
            )
            walk = images.walk(*ends, first=images.shown.order[0], second=images.shown.order[1])
            seen = page.evaluate("[...document.querySelectorAll('#walk img')].map(image => image.src)")
            assert seen == [example["image"] for example in walk["examples"]]
            drawn = page.evaluate("[$('map').data[1].x, $('map').data[1].y]")
            np.testing.assert_allclose(np.transpose(drawn), walk["places"], atol=1e-4)
        assert page.locator("#walk-to option").all_inner_texts()[1].startswith("0: image ")
        slider = page.locator("#sliders input >> nth=0")
        slider.fill(slider.get_attribute("max"))
        page.wait_for_selector("#at-cursor:not([hidden]) img")
        assert picture(page, "at-cursor") != before
        page.click("#legend button >> nth=5")
        page.wait_for_selector("#chosen img >> nth=20")
        with page.expect_download() as download:
            page.click("#csv")
        read = pd.read_csv(StringIO(Path(known(download.value.path())).read_text()))
        assert read["row"].tolist() == np.flatnonzero(DIGITS.target[:400] == 5).tolist()
