"""The classic MNIST curve: test -ELBO after every epoch, beside the published one.

    python benchmarks/reproductions/classic_mnist.py --data-dir DIR [--output classic_mnist.json]

Protocol: 784-400-20 relu, Bernoulli on grey levels, all 60,000 training images, batch 128 with the last batch
kept, Adam 1e-3 constant, no early stopping, one posterior draw an image for the test bound. Published: the
output of the PyTorch examples' VAE, 10 epochs; runs spread by about 0.2 nat.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from vaekit.data import Schema, read
from vaekit.objectives import Elbo
from vaekit.randomness import seeded
from vaekit.spec import Sentence, build_vae
from vaekit.training import TrainingSettings, train

sys.path.insert(0, str(Path(__file__).parents[1]))
from machine import describe

PUBLISHED = [127.30, 115.79, 112.22, 109.64, 108.54, 107.70, 107.07, 106.66, 106.04, 105.56]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    mnist = read("mnist", data_dir=options.data_dir)
    schema = Schema.fit(mnist, scaling="unit")
    x, test = (torch.from_numpy(schema.transform(d.values)) for d in (mnist, mnist.test))
    sentence = Sentence.parse(network="mlp:hidden=400,activation=relu", likelihood="bernoulli")
    with seeded(options.seed):
        model = build_vae(sentence, schema.model_event_shape, latent=20)
    settings = TrainingSettings(epochs=options.epochs, batch_size=128, learning_rate=1e-3)
    started = time.perf_counter()
    # The test images stand in the place of the validation rows, to be evaluated after every epoch; with no
    # patience nothing is decided by them, and the curve is reported whole.
    history = train(model, Elbo(), x, test, settings=settings, seed=options.seed, on_epoch=show)
    result = {
        "sentence": sentence.to_json(),
        "latent": 20,
        "protocol": " ".join(__doc__.split("Protocol: ")[1].split()),
        "seed": options.seed,
        "test_minus_elbo": [-epoch.validation_bound for epoch in history.epochs],
        "published": PUBLISHED,
        "seconds": time.perf_counter() - started,
        "threads": torch.get_num_threads(),
        "machine": describe("torch", "numpy"),
    }
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n")


def show(metrics, is_best) -> None:
    published = f"{PUBLISHED[metrics.epoch - 1]:.2f}" if metrics.epoch <= len(PUBLISHED) else "-"
    print(
        f"epoch {metrics.epoch:3}  test -ELBO {-metrics.validation_bound:.2f}  published {published}  "
        f"{metrics.seconds:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
