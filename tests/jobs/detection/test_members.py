"""The members' densities against quadrature and the package's own model; histograms; who has seen which rows."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Normal

from narrowing import known
from vaekit.errors import DataError, UsageError
from vaekit.jobs.detection.column_histograms import ColumnHistograms
from vaekit.jobs.detection.complementary_halves import Halves
from vaekit.jobs.detection.member_networks import MemberNetworks
from vaekit.jobs.detection.member_scores import Members
from vaekit.jobs.detection.member_training import MemberSettings
from vaekit.jobs.table_coding import CodedColumn, CodedRows, TableCoding


def rows_of(n, numbers=2, sizes=(3,), seed=0, holes=0.0):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.stack([torch.randint(size, (n,), generator=generator) for size in sizes], 1)
    observed = (torch.rand(n, numbers + len(sizes), generator=generator) >= holes).float()
    return CodedRows(torch.randn(n, numbers, generator=generator), codes, observed)


def in_double(networks):
    for name in ("encoder", "decoder"):
        layers = [tuple(weight.double() * 2 for weight in layer) for layer in getattr(networks, name)]
        setattr(networks, name, layers)
    networks.log_scale = (
        torch.randn(networks.log_scale.shape, generator=torch.Generator().manual_seed(5)).double() / 3
    )
    return networks


@pytest.fixture
def networks():
    generator = torch.Generator().manual_seed(0)
    return in_double(MemberNetworks.begin(3, 2, (3,), hidden=8, latent=1, generator=generator))


def doubled(rows):
    return CodedRows(rows.numbers.double(), rows.codes, rows.observed.double())


def test_cells_are_the_densities_of_torch(networks):
    rows, z = doubled(rows_of(6)), torch.randn(3, 6, 1).double()
    mean, log_scale, log_probabilities = networks.decode(z)
    cells = networks.cells(z, rows)
    torch.testing.assert_close(
        cells[..., :2], Normal(mean, log_scale.exp().expand_as(mean)).log_prob(rows.numbers)
    )
    expected = Categorical(logits=log_probabilities[0]).log_prob(rows.codes[:, 0].expand(3, 6))
    torch.testing.assert_close(cells[..., 2], expected)


def test_the_evidence_is_the_integral_over_the_latent_with_holes_integrated_out(networks):
    rows = doubled(rows_of(5, holes=0.4))
    assert (rows.observed == 0).any()
    grid = torch.linspace(-8, 8, 4001).double()
    for i in range(5):
        cells = networks.cells(grid.repeat(3, 1)[..., None], CodedRows(*_repeated(rows, i, 4001)))
        joint = (cells * rows.observed[i]).sum(-1) + Normal(0.0, 1.0).log_prob(grid)
        exact = joint.logsumexp(1) + math.log(16 / 4000)
        noise = torch.randn(5_000, 3, 1, 1, generator=torch.Generator().manual_seed(1)).double()
        found = networks.log_evidence(rows.take(slice(i, i + 1)), noise, torch.zeros(3, 3).double())[:, 0]
        torch.testing.assert_close(found, exact, atol=0.05, rtol=0)


def _repeated(rows, i, n):
    return rows.numbers[i].expand(n, -1), rows.codes[i].expand(n, -1), rows.observed[i].expand(n, -1)


def test_the_bound_is_below_the_evidence_and_its_divergence_exact(networks):
    rows = doubled(rows_of(4))
    noise = torch.randn(4000, 3, 4, 1, generator=torch.Generator().manual_seed(2)).double()
    bound = torch.stack([networks.bound(rows, draw) for draw in noise])
    evidence = networks.log_evidence(rows, noise[:, :, :1], torch.zeros(3, 3).double())
    assert (bound.mean(0) <= evidence + 4 * bound.std(0) / math.sqrt(4000)).all()
    mean, log_deviation = networks.encode(networks.inputs(rows))
    q = Normal(mean, log_deviation.exp())
    exact = torch.distributions.kl_divergence(q, Normal(torch.zeros(()).double(), 1.0)).sum(-1)
    z = mean + log_deviation.exp() * noise[0]
    torch.testing.assert_close(networks.bound(rows, noise[0]), networks.cells(z, rows).sum(-1) - exact)


def test_a_member_learns_nothing_from_the_others():
    rows = rows_of(40)
    networks = MemberNetworks.begin(
        2, 2, (3,), hidden=8, latent=1, generator=torch.Generator().manual_seed(0)
    )
    weights = [weight.requires_grad_() for weight in networks.parameters()]
    networks.bound(rows, torch.zeros(2, 40, 1))[0].sum().backward()
    for weight in weights:
        assert weight.grad is not None
        assert (weight.grad[1] == 0).all()
    assert all((known(weight.grad)[0] != 0).any() for weight in weights)


def test_histograms_are_densities():
    rows = rows_of(200, sizes=(3, 2))
    chosen = torch.stack([torch.arange(100), torch.arange(100, 200)])
    histograms = ColumnHistograms.fit(rows, chosen, (4, 3))
    for m in range(2):
        for j in range(2):
            mass = histograms.numeric[m, j].exp() * histograms.width[m, j]
            assert mass.sum() == pytest.approx(1, abs=1e-5)
    for table in histograms.categorical:
        torch.testing.assert_close(table.exp().sum(1), torch.ones(2))
    cells = histograms.cells(rows)
    inside = torch.linspace(-1, 1, 21)
    density = torch.tensor([float(histograms.cells(_one(x))[0, 0, 0].exp()) for x in inside])
    normal = Normal(0.0, 1.0).log_prob(inside).exp()
    assert (density - normal).abs().max() < 0.2
    own = torch.stack([cells[0, :100], cells[1, 100:]])
    torch.testing.assert_close(histograms.entropy, -own.mean(1))


def _one(x):
    return CodedRows(torch.stack([x, x])[None], torch.zeros(1, 2).long(), torch.ones(1, 4))


def test_a_value_beyond_all_others_is_odder_than_any_of_them():
    rows = rows_of(200)
    histograms = ColumnHistograms.fit(rows, torch.arange(200)[None], (4,))
    most = float(histograms.cells(rows)[0, :, 0].min())
    far = CodedRows(torch.tensor([[1e6, 0.0], [-1e6, 0.0]]), torch.zeros(2, 1).long(), torch.ones(2, 3))
    assert (histograms.cells(far)[0, :, 0] <= most).all()


@pytest.mark.parametrize("n", [4, 7, 10, 16, 33, 500])
@pytest.mark.parametrize("members", [2, 16, 40])
def test_every_row_has_as_many_members_that_have_not_seen_it(n, members):
    halves = Halves.deal(n, members=members, generator=np.random.default_rng(0))
    unseen = halves.unseen()
    assert (unseen.sum(0) == members // 2).all()
    assert halves.of_new_rows().sum() == members // 2
    for m in range(members):
        assert abs(len(halves.rows_of(m)) - n / 2) <= max(8, n / 16)
        assert len(halves.rows_of(m)) > 0
    np.testing.assert_array_equal(unseen[: members // 2], ~unseen[members // 2 :])


def test_groups_are_parted_alike():
    halves = Halves.deal(160, members=30, generator=np.random.default_rng(1))
    first = halves.trained[:15]
    parted = (first[:, :, None] != first[:, None, :]).sum(0)
    assert set(parted[~np.eye(16, dtype=bool)].tolist()) == {8}


def test_what_cannot_be_dealt_is_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(UsageError, match="members=5"):
        Halves.deal(100, members=5, generator=generator)
    with pytest.raises(DataError, match="3 rows"):
        Halves.deal(3, members=4, generator=generator)


def test_the_score_of_a_row_does_not_depend_on_its_own_content_in_the_fit():
    """Out of bag: a row that is changed is scored by members that are the same, but for the coding."""
    rows = rows_of(64, sizes=(3,))
    numbers = (CodedColumn("a"), CodedColumn("b"))
    coding = TableCoding(numbers, (CodedColumn("c", categories=("x", "y")),), ("a", "b", "c"), {})
    settings = MemberSettings(hidden=8, steps=12, trim=0.2)
    first, _ = Members.fit(rows, coding, members=4, settings=settings, seed=0)
    changed = CodedRows(rows.numbers.clone(), rows.codes, rows.observed)
    changed.numbers[5] = 50.0
    second, _ = Members.fit(changed, coding, members=4, settings=settings, seed=0)
    unseen = first.halves.unseen()[:, 5]
    before, after = first.networks.parameters(), second.networks.parameters()
    for weight, other in zip(before, after, strict=True):
        torch.testing.assert_close(weight[unseen], other[unseen])
    assert any((weight[~unseen] != other[~unseen]).any() for weight, other in zip(before, after, strict=True))
