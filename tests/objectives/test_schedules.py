"""Schedules: values at known points, and a string that comes back."""

from math import cos, pi

import pytest

from vaekit.errors import UsageError
from vaekit.objectives import Elbo, Schedule


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("linear:0..1/10", {0: 0, 1: 0.1, 5: 0.5, 10: 1, 1000: 1}),
        ("linear:4..1/2", {0: 4, 1: 2.5, 2: 1, 3: 1}),
        ("linear:-1..1/0.5", {0: -1, 0.25: 0, 0.5: 1, 7: 1}),
        ("cosine:0..1/10", {0: 0, 2: 0.5 * (1 - cos(pi / 5)), 5: 0.5, 10: 1, 11: 1}),
        ("cosine:10..0/4", {0: 10, 2: 5, 4: 0, 9: 0}),
        ("cyclical:0..1/10", {0: 0, 2.5: 0.5, 5: 1, 9.99: 1, 10: 0, 12.5: 0.5, 17: 1, 30: 0}),
        ("cyclical:1..3/4", {0: 1, 1: 2, 2: 3, 3: 3, 4: 1}),
    ],
)
def test_values_at_known_points(text, points):
    schedule = Schedule.parse(text)
    for epochs, value in points.items():
        assert schedule(epochs) == pytest.approx(value, abs=1e-12)


def test_the_end_is_reached_exactly():
    assert Schedule.parse("linear:0.1..0.7/3")(3) == 0.7
    assert Schedule.parse("cosine:0.1..0.7/3")(99) == 0.7


@pytest.mark.parametrize(
    "text", ["linear:0..1/10", "cosine:1e-3..1e300/0.1", "cyclical:-0.1..0.30000000000000004/7"]
)
def test_a_schedule_comes_back_from_its_string(text):
    schedule = Schedule.parse(text)
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize(
    "text",
    ["", "1", "linear", "linear:", "linear:1/10", "linear:0..1", "linear:0..1/", "linear:0..1..2/10",
     "linear:0..1/10/2", "linear:a..b/c", "quadratic:0..1/10", "linear:0..1/0", "linear:0..1/-3", "linear:0..1/inf",
     "linear:nan..1/10", "linear:0..inf/10", "constant:1..1/10"],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError):
        Schedule.parse(text)


def test_an_objective_starts_at_the_beginning_of_its_schedules_and_follows_them():
    objective = Elbo(beta=Schedule.parse("linear:0..4/8"), free_bits=Schedule.parse("linear:1..0/4"))
    assert (objective.beta, objective.free_bits) == (0, 1)
    objective.at(2)
    assert (objective.beta, objective.free_bits) == (1, 0.5)
    objective.at(100)
    assert (objective.beta, objective.free_bits) == (4, 0)
    assert Elbo(beta=3.0).schedules == {}


def test_a_schedule_that_leaves_the_range_of_its_scalar_is_refused():
    with pytest.raises(UsageError, match=r"beta=linear:1\.0\.\.-1\.0/10\.0; give a number of at least 0"):
        Elbo(beta=Schedule.parse("linear:1..-1/10"))
