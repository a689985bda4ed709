"""Typical rows: of labels those nearest to the means, of groups one each."""

import numpy as np

from vaekit.explorer.latent_space import LatentSpace
from vaekit.explorer.typical_rows import typical_rows

RNG = np.random.default_rng(0)


def test_of_each_label_the_row_nearest_to_its_mean():
    latents, labels = RNG.normal(size=(90, 3)), np.arange(90) % 3
    latents += 3.0 * labels[:, None]
    found = typical_rows(latents, labels, LatentSpace())
    assert [label for _, label in found] == ["0", "1", "2"]
    for row, label in found:
        members = np.flatnonzero(labels == int(label))
        away = np.linalg.norm(latents[members] - latents[members].mean(0), axis=1)
        assert row == members[away.argmin()]


def test_on_a_sphere_the_mean_is_a_point_of_it():
    angles = np.array([0.0, 0.2, 1.5, 3.0, 3.1, 3.3])
    latents = np.column_stack([np.cos(angles), np.sin(angles)])
    labels = np.array(["east"] * 3 + ["west"] * 3)
    assert typical_rows(latents, labels, LatentSpace("sphere")) == [(1, "east"), (4, "west")]


def test_without_labels_one_row_of_each_group_in_order():
    centres = np.array([[0.0, 0.0], [40.0, 1.0], [10.0, 2.0], [30.0, 0.0], [20.0, 1.0], [50.0, 3.0]])
    group = np.arange(600) % 6
    latents = centres[group] + RNG.normal(size=(600, 2))
    for labels in (None, np.arange(600)):  # none, and too many to be classes
        found = typical_rows(latents, labels, LatentSpace())
        assert [group[row] for row, _ in found] == [0, 2, 4, 3, 1, 5]
        assert {label for _, label in found} == {""}


def test_rows_at_one_place_have_one_typical_row():
    assert len(typical_rows(np.zeros((50, 2)), None, LatentSpace())) == 1
    assert typical_rows(np.zeros((1, 2)), None, LatentSpace()) == [(0, "")]
