"""The bound over a data set: in chunks, whatever the objective draws."""

import pytest
import torch

from oracles.linear_gaussian import LinearGaussian
from vaekit.evaluation import evaluate_bound
from vaekit.sentence import parse


@pytest.mark.parametrize(
    ("text", "largest"),
    [
        ("elbo", 1024),
        ("iwae:samples=100", 10),
        ("miwae:samples=20,groups=5", 10),
        ("piwae:samples=100,groups=100", 1),
    ],
)
def test_chunks_shrink_with_the_draws_of_an_example(text, largest):
    truth = LinearGaussian.random(3, 1)
    model, x = truth.vae(exact=True), truth.draw(25)
    sizes = []
    decode = model.decode
    model.decode = lambda z, c=None: sizes.append(z.shape[-2]) or decode(z, c)
    summary = evaluate_bound(model, parse("objective", text).build(), x)
    assert max(sizes) == min(largest, 25)
    assert sum(sizes) == 25
    torch.testing.assert_close(summary.values, truth.log_evidence(x), rtol=0, atol=1e-9)
