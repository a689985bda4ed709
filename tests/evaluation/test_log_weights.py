"""Compiled log-weights against the plain ones."""

import pytest
import torch

from vaekit.evaluation import log_likelihood
from vaekit.evaluation import log_weights as room
from vaekit.evaluation.log_weights import CompiledLogWeights, log_weights_of
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae

PARTS = {
    "plain": {},
    "full and mixture": {"posterior": "full", "prior": "mixture:components=3"},
    "pseudo-inputs": {"prior": "vamp:components=4"},
    "flow": {"posterior": "planar"},
    "student-t": {"likelihood": "student-t"},
    "bernoulli": {"likelihood": "bernoulli"},
}


def make(**parts):
    with seeded(0):
        return build_vae(Sentence.parse(**{"network": "mlp:hidden=8", **parts}), (5,), latent=2).eval()


def data(rows):
    with seeded(1):
        return torch.randn(rows, 5)


def forced(monkeypatch, backend):
    """Compile whatever the plan; gives the graphs that were made."""
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(room, "repays_compilation", lambda model, rows: rows > 0)
    monkeypatch.setattr(room, "has_compiler", lambda: True)
    begin = CompiledLogWeights.__init__
    chosen = count if backend == "count" else backend
    monkeypatch.setattr(
        CompiledLogWeights, "__init__", lambda self, *given: begin(self, *given, backend=chosen)
    )
    return graphs


@pytest.mark.parametrize("case", PARTS)
def test_the_estimates_are_the_same_and_one_graph_makes_them(case, monkeypatch):
    model, x = make(**PARTS[case]), data(7)

    def estimate():
        with seeded(2):
            return log_likelihood(model, x, samples=60, memory=6 * 4 * 256 * 60 * 3)  # three examples at once

    plain = estimate()
    graphs = forced(monkeypatch, "count")
    compiled = estimate()
    assert len(graphs) == 1, "the last example is of another shape, and goes without"
    torch.testing.assert_close(compiled.values, plain.values, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(compiled.elbo, plain.elbo, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        compiled.effective_sample_size, plain.effective_sample_size, rtol=1e-3, atol=1e-3
    )


def test_native_code_gives_the_same_estimates(monkeypatch):
    model, x = make(likelihood="bernoulli"), data(6).sigmoid()
    with seeded(2):
        plain = log_likelihood(model, x, samples=50)
    forced(monkeypatch, "inductor")
    with seeded(2):
        compiled = log_likelihood(model, x, samples=50)
    torch.testing.assert_close(compiled.values, plain.values, rtol=1e-5, atol=1e-5)


def test_a_compiler_that_fails_changes_nothing(monkeypatch):
    model, x = make(), data(6)
    with seeded(2):
        plain = log_likelihood(model, x, samples=50)

    def fail(graph, inputs):
        torch.randn(3)
        raise RuntimeError("no compiler")

    forced(monkeypatch, fail)
    with seeded(2):
        assert torch.equal(log_likelihood(model, x, samples=50).values, plain.values)


def test_an_error_of_the_model_comes_through():
    model = make()
    weigh = CompiledLogWeights(model, (4, 6), backend="eager")
    q, p = model.encode(data(6)), model.prior()
    with pytest.raises(RuntimeError):
        weigh(q, p, torch.randn(6, 4), None, torch.Size((4,)))


def test_scores_with_common_noise_are_not_compiled(monkeypatch):
    graphs = forced(monkeypatch, "count")
    log_likelihood(make(), data(6), samples=10, common_noise=True)
    assert not graphs


def test_the_log_weight_is_that_of_its_definition():
    model, x = make(), data(6)
    with torch.no_grad():
        q, p = model.encode(x), model.prior()
        with seeded(4):
            log_weight, kl = log_weights_of(model)(q, p, x, None, torch.Size((3,)))
        with seeded(4):
            z = q.sample((3,))
        expected = model.decode(z).log_prob(x) + p.log_prob(z) - q.log_prob(z)
    torch.testing.assert_close(log_weight, expected)
    torch.testing.assert_close(kl, q.log_prob(z) - p.log_prob(z))


def test_convolutions_and_other_devices_are_not_compiled():
    model = build_vae(Sentence.parse(network="convolutional"), (1, 28, 28), latent=2)
    assert not room.repays_compilation(model, 10**9)
    assert room.repays_compilation(make(), 10**10)
    assert not room.repays_compilation(make().to("meta"), 10**10)
