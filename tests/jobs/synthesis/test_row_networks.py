"""The model of rows against loops over rows and columns, sums over all rows, and integrals over its latents."""

import itertools

import numpy as np
import pytest
import torch

from narrowing import untyped
from vaekit.jobs.synthesis.row_networks import RowNetworks, order_with_first
from vaekit.jobs.synthesis.row_sampling import draw_rows
from vaekit.runtime.randomness import seeded

SIZES = (2, 9, 3)
ROWS = torch.tensor(list(itertools.product(*map(range, SIZES))))
RANKS = torch.tensor([0.5, 0.1, 0.2, 0.3, 0.4, 0.9, 0.8, 0.7, torch.nan], dtype=torch.float64)
GRID = np.linspace(-8, 8, 321)


@pytest.fixture(scope="module")
def networks():
    with seeded(0):
        shares, ranks = [torch.ones(size) / size for size in SIZES], [None, RANKS, None]
        torch.set_default_dtype(torch.float64)
        found = RowNetworks(shares, ranks, hidden=6, latent=1).double()
        torch.set_default_dtype(torch.float32)
        for weight in found.parameters():
            untyped(weight).data += 0.5 * torch.randn(weight.shape) * weight.isfinite()
    last = untyped(found.encoder[3])
    last.weight.data *= 0.1  # q(z | x) is to be a good proposal: as wide as the prior
    last.bias.data[:] = torch.tensor([0.1, 0.2])
    return found.requires_grad_(False)


def silu(x):
    return x / (1 + np.exp(-x))


def vectors_by_loops(part, name):
    """The vector of every code: its own, and for the ranked codes of the second column a sum of eight bumps."""
    found = part[f"{name}.own"].copy()
    for k, rank in enumerate(RANKS.tolist()):
        for m in range(8 if rank == rank else 0):
            found[SIZES[0] + k] += np.exp(-(((rank - m / 7) * 8) ** 2) / 2) * part[f"{name}.smooth"][0, m]
    return found


def by_loops(networks, codes, order, noise):
    """Both terms of the bound of one row, one column after another."""
    part = {name: value.numpy() for name, value in networks.state_dict().items()}
    told, seen, asked = (vectors_by_loops(part, name) for name in ("told", "seen", "asked"))
    first = np.concatenate([[0], np.cumsum(SIZES)])
    features = np.zeros(6)
    for j, code in enumerate(codes):
        if code >= 0:
            features = features + told[first[j] + code]
    features = part["encoder.1.weight"] @ silu(features) + part["encoder.1.bias"]
    mean, raw = part["encoder.3.weight"] @ silu(features) + part["encoder.3.bias"]
    log_deviation = raw / np.sqrt(1 + (raw / 5) ** 2)
    z = mean + np.exp(log_deviation) * noise
    divergence = 0.5 * (mean**2 + np.exp(2 * log_deviation) - 1) - log_deviation
    terms = []
    for j, code in enumerate(codes):
        known = part["query"][j] + part["from_latent.weight"][:, 0] * z
        for k, other in enumerate(codes):
            if order[j][k] and other >= 0:
                known = known + seen[first[k] + other]
        features = silu(known)
        features = features + silu(part["layers.0.weight"] @ features + part["layers.0.bias"])
        logits = np.array(
            [features @ asked[first[j] + k] + part["bias"][first[j] + k] for k in range(SIZES[j])]
        )
        terms.append(logits[code] - np.log(np.exp(logits).sum()) if code >= 0 else 0.0)
    return terms, divergence


def test_the_bound_is_the_sum_of_its_parts(networks):
    codes = torch.tensor([[1, 8, 2], [0, -1, 1], [-1, -1, -1], [1, 3, 0]])
    given = torch.tensor([[False, False, True], [True, False, False], [False] * 3, [True, False, True]])
    order, noise = order_with_first(given), torch.tensor([[0.3], [-1.0], [2.0], [0.0]], dtype=torch.float64)
    reconstruction, divergence = networks.bound(codes, order, noise)
    for i in range(len(codes)):
        terms, kl = by_loops(networks, codes[i].tolist(), order[i].tolist(), float(noise[i]))
        np.testing.assert_allclose(reconstruction[i], terms, atol=1e-12)
        np.testing.assert_allclose(divergence[i], kl, atol=1e-12)


@pytest.mark.parametrize("given", [(), (2,), (0, 2), (1,)])
def test_probabilities_of_all_rows_sum_to_one_in_every_order(networks, given):
    order = order_with_first(torch.tensor([j in given for j in range(3)]))
    z = torch.full((len(ROWS), 1), 0.7, dtype=torch.float64)
    assert networks.log_probabilities(ROWS, z, order).sum(1).exp().sum().item() == pytest.approx(1, abs=1e-12)


def integrated(networks, given=()):
    """The probability of every row, by the trapezoidal rule over the latent, with some columns first."""
    order = order_with_first(torch.tensor([j in given for j in range(3)]))
    density = np.exp(-(GRID**2) / 2) / np.sqrt(2 * np.pi)
    total = np.zeros(len(ROWS))
    for z, weight in zip(GRID, density * (GRID[1] - GRID[0]), strict=True):
        at = torch.full((len(ROWS), 1), z, dtype=torch.float64)
        total += weight * networks.log_probabilities(ROWS, at, order).sum(1).exp().numpy()
    return total


def test_importance_samples_estimate_the_integral_over_the_latent(networks):
    exact = np.log(integrated(networks))
    found = networks.log_density(ROWS, 1000, torch.Generator().manual_seed(0)).numpy()
    assert np.abs(found - exact).max() < 0.15
    assert abs(np.exp(found).sum() - 1) < 0.02


def deviations(counts, probabilities, n):
    """How far frequencies are from probabilities, in standard errors."""
    return (counts / n - probabilities) / np.sqrt(probabilities * (1 - probabilities) / n + 1e-12)


def counted(codes):
    place = np.ravel_multi_index(tuple(codes.numpy().T), SIZES)
    return np.bincount(place, minlength=len(ROWS))


def test_drawn_rows_have_the_probabilities_of_the_model(networks):
    n = 40_000
    drawn = draw_rows(untyped(networks).float(), n, torch.Generator().manual_seed(1)).codes
    exact = integrated(networks.double())
    assert np.abs(deviations(counted(drawn), exact, n)).max() < 4.5


@pytest.mark.parametrize(
    "allowed", [{2: [0.0, 1.0, 0.0]}, {1: [0, 0, 0.25, 1, 1, 0.5, 0, 0, 0], 2: [1.0, 0.0, 1.0]}]
)
def test_rows_given_values_or_ranges_have_the_conditional_probabilities_of_the_model(networks, allowed):
    n = 40_000
    shares = {j: torch.tensor(share) for j, share in allowed.items()}
    drawn = draw_rows(untyped(networks).float(), n, torch.Generator().manual_seed(2), allowed=shares)
    exact = integrated(networks.double(), given=tuple(allowed))
    for j, share in allowed.items():
        exact = exact * np.array(share)[ROWS[:, j].numpy()]
    exact = exact / exact.sum()
    assert drawn.effective > 1
    counts = counted(drawn.codes)
    assert (counts[exact == 0] == 0).all()
    # resampled latents come several times: their number is that of draws
    assert np.abs(deviations(counts, exact, n)[exact > 0]).max() < 5


def test_a_hole_tells_nothing_and_adds_nothing(networks):
    z = torch.zeros(1, 1, dtype=torch.float64)
    order = networks.own_order
    with_hole = networks.log_probabilities(torch.tensor([[1, -1, 2]]), z, order)
    assert with_hole[0, 1] == 0
    first = networks.log_probabilities(
        torch.tensor([[1, 0, 2]]), z, order_with_first(torch.tensor([True, False, True]))
    )
    assert with_hole[0, 2] == pytest.approx(float(first[0, 2]), abs=1e-12)
