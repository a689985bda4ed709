"""Draw docs/images/explore.png, the picture of the page on exploring, in a real browser.

.venv/bin/python docs/draw_explorer.py digits.vae
"""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from vaekit.application import write_exploration


def main(artifact: str) -> None:
    """Write the page as one file, point at a row on it, and save what the browser shows."""
    output = Path(__file__).parent / "images" / "explore.png"
    page_file = Path(tempfile.mkdtemp()) / "page.html"
    write_exploration(artifact, page_file, data="digits")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 760})
        page.goto(page_file.as_uri())
        page.wait_for_selector("html[data-ready]")
        pixel = page.evaluate("""() => {
          const {box, across, up} = geometry();
          return [box.left + box.width * (places.x[4] - across[0]) / (across[1] - across[0]),
                  box.bottom - box.height * (places.y[4] - up[0]) / (up[1] - up[0])];
        }""")
        page.mouse.click(*pixel)
        page.wait_for_timeout(500)
        page.screenshot(path=output)
    picture = Image.open(output).convert("P", palette=Image.Palette.ADAPTIVE, colors=128)
    picture.save(output, optimize=True)
    print(f"{output}: {output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["digits.vae"])
