"""The adapters of the page on logging, with stand-ins for the libraries they adapt to."""

import re
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

from narrowing import known, untyped
from vaekit.estimator import VariationalAutoencoder

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "logging.md"


def block(title):
    """The code under a heading of the page."""
    return known(re.search(rf"^### {title}\n+```python\n(.*?)^```", PAGE.read_text(), re.M | re.S))[1]


class Library:
    """Keeps what is logged, and is called as MLflow and as Weights & Biases are."""

    def __init__(self):
        self.started, self.logged = [], []

    @contextmanager
    def start_run(self):
        yield

    def log_params(self, params):
        self.started.append(params)

    def log_metrics(self, metrics, step=None, *, synchronous=None):
        self.logged.append((step, metrics))

    def init(self, *, project=None, config=None):
        self.started.append(config)

    def log(self, data, step=None, commit=None):
        self.logged.append((step, data))


@pytest.mark.parametrize(("title", "module"), [("MLflow", "mlflow"), ("Weights & Biases", "wandb")])
def test_the_adapters_of_the_page(monkeypatch, title, module):
    library = Library()
    monkeypatch.setitem(sys.modules, module, library)
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=3, random_state=0)
    code = block(title)
    [logger] = re.findall(r"^class .*?\n\n\n", code, re.M | re.S)
    assert len(logger.strip().splitlines()) <= 5
    exec(code, {"vae": vae, "x": untyped(load_iris()).data})
    assert library.started == [vae.get_params()]
    assert library.logged == [(epoch.epoch, epoch.numbers()) for epoch in vae.history_.epochs]
    assert "validation_bound" in library.logged[0][1]
