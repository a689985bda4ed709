"""In a real browser nothing on the page is clipped and no labels overlap, on a wide screen and on a telephone's."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vaekit import VariationalAutoencoder
from vaekit.data import Dataset, read
from vaekit.report import render_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")

# A window of the browser may be no narrower than 500 pixels; a frame in it may.
FRAME = """<!doctype html><pre id="measured"></pre>
<script>addEventListener("message", event => document.getElementById("measured").textContent = event.data);</script>
<iframe src="page.html" style="width: WIDTHpx; height: 3000px; border: 0"></iframe>
"""
MEASURE = """
<script>
const found = [];
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width) found.push("the page scrolls sideways");
for (const box of document.querySelectorAll(".table, pre, .finding, figure, dd"))
  if (box.scrollWidth > box.clientWidth + 1)
    found.push(`scrolls: ${box.scrollWidth} of ${box.clientWidth} ${box.textContent.trim().slice(0, 60)}`);
for (const card of document.querySelectorAll("figure")) {
  const frame = card.getBoundingClientRect();
  const texts = [...card.querySelectorAll("svg text")].filter(text => text.textContent.trim());
  const boxes = texts.map(text => text.getBoundingClientRect());
  boxes.forEach((box, i) => {
    if (box.left < frame.left || box.right > frame.right || box.top < frame.top || box.bottom > frame.bottom)
      found.push("clipped: " + texts[i].textContent.trim());
    for (let j = 0; j < i; j++) {
      const other = boxes[j];
      const across = Math.min(box.right, other.right) - Math.max(box.left, other.left);
      const down = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
      const small = 0.35 * Math.min(box.height, other.height, box.width, other.width);
      if (across > small && down > small)
        found.push("overlap: " + texts[i].textContent.trim() + " | " + texts[j].textContent.trim());
    }
  });
}
parent.postMessage(JSON.stringify([width, found]), "*");
</script>
"""


def complaints(html: str, folder: Path, width: int) -> list[str]:
    """Open the page at a width, and return what is clipped, scrolls or overlaps."""
    (folder / "page.html").write_text(html.replace("</body>", MEASURE + "</body>"))
    outer = folder / "outer.html"
    outer.write_text(FRAME.replace("WIDTH", str(width)))
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=1400,3200",
        "--virtual-time-budget=5000",
    ]
    command += ["--dump-dom", outer.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    measured = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)
    assert measured is not None
    seen, found = json.loads(measured[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert seen == width, "the page was laid out for this width"
    return found


def page(data: Dataset, **options) -> str:
    estimator = VariationalAutoencoder(6, network="mlp:hidden=8", epochs=2, random_state=0, **options)
    half = len(data) // 2
    train, test = data.take(np.arange(half)), data.take(np.arange(half, len(data)))
    estimator.fit(train)
    results = {
        split: estimator.evaluate(part, samples=5, split=split, train=train)
        for split, part in {"train": train, "validation": test, "test": test}.items()
    }
    artifact = estimator.to_artifact({"source": "a_folder/with_a_long_name/" + 4 * "and_more_" + ".csv"})
    return render_report(estimator, artifact, test, results)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(0)
    lines = ["species,a_very_long_name_for_a_column_indeed,income,tiny,grade,WWWWWWWWWWWWWWWWWWWWWWWWWWWWWW"]
    for _ in range(120):
        species = ["Adelie", "Gentoo", "Chinstrap penguin of the south"][rng.integers(3)]
        grade = "ABCDEFGHIJKL"[rng.integers(12)]
        z = rng.normal(size=4)
        lines.append(
            f"{species},{147061.7 + z[0]:.3f},{1e7 * (5 + z[1]):.0f},{1e-6 * z[2]:.3g},{grade},{-1e5 + 1e4 * z[3]}"
        )
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_text("\n".join(lines))
    return page(read(path))


@pytest.fixture(scope="module")
def images() -> str:
    return page(read("digits").take(np.arange(200)))


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", ["table", "images"])
def test_nothing_is_clipped_and_no_labels_overlap(
    kind: str, width: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    found = complaints(request.getfixturevalue(kind), tmp_path, width)
    assert not found, "\n".join(found)


def test_the_measure_sees_what_is_clipped_and_what_overlaps(tmp_path: Path) -> None:
    svg = '<svg width="100" style="overflow: visible"><text x="0" y="20">{}</text><text x="5" y="20">other</text></svg>'
    html = f"<html><body><figure style='width: 100px'>{svg.format('long ' * 20)}</figure></body></html>"
    found = " ".join(complaints(html, tmp_path, 1280))
    assert "clipped: long" in found
    assert "overlap: other | long" in found
