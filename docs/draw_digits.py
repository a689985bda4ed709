"""Draw docs/images/digits.png, the picture of the README, from what `make demo` leaves.

.venv/bin/python docs/draw_digits.py digits.vae
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import vaekit
from vaekit.data import read
from vaekit.plots import image_grid, latent_scatter


def main(artifact: str) -> None:
    """Draw samples beside latents, and save."""
    vae, digits = vaekit.load(artifact, device="cpu"), read("digits")
    figure = Figure(figsize=(10.4, 4.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.12))
    image_grid(vae.sample(100, random_state=0), columns=10, ax=left)
    left.set_title("Digits that the model made up", fontsize=12)
    latent_scatter(vae.transform(digits), digits.labels, ax=right)
    right.set_title("Where it puts real ones; it never saw their labels", fontsize=12)
    output = Path(__file__).parent / "images" / "digits.png"
    output.parent.mkdir(exist_ok=True)
    figure.savefig(output, dpi=100, pil_kwargs={"optimize": True})
    print(f"{output}: {output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["digits.vae"])
