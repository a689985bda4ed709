"""The pictures show the numbers they were given, and touch nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import ks_2samp, norm
from sklearn.decomposition import PCA
from sklearn.metrics import accuracy_score, log_loss, r2_score

from narrowing import known, untyped
from vaekit import plots
from vaekit.training import EpochMetrics, History

RNG = np.random.default_rng(0)


def _history(bounds: list[float], *, validation: bool = True, best: int = 1) -> History:
    epochs = [
        EpochMetrics(
            epoch=i + 1,
            epochs=len(bounds),
            train_bound=bound - 1,
            train_reconstruction=bound,
            train_kl=1.0,
            validation_bound=bound if validation else None,
            validation_reconstruction=bound + 2 if validation else None,
            validation_kl=2.0 if validation else None,
            kl_per_dimension=None,
            learning_rate=1e-3,
            seconds=0.1,
        )
        for i, bound in enumerate(bounds)
    ]
    return History(epochs, best_epoch=best)


def _pictures() -> dict[str, object]:
    images = RNG.random((6, 1, 5, 4))
    z = RNG.normal(size=(30, 3))

    def decode(z: np.ndarray) -> np.ndarray:
        return np.tile(norm.cdf(z[:, :1, None, None]), (1, 1, 4, 4))

    return {
        "learning_curve": lambda ax: plots.learning_curve(_history([-3.0, -2.0]), ax=ax),
        "image_grid": lambda ax: plots.image_grid(images, ax=ax),
        "reconstruction_pairs": lambda ax: plots.reconstruction_pairs(images, images, ax=ax),
        "latent_manifold": lambda ax: plots.latent_manifold(decode, side=3, ax=ax),
        "latent_traversals": lambda ax: plots.latent_traversals(decode, 4, ax=ax),
        "traversal_effects": lambda ax: plots.traversal_effects(
            lambda z: z, 2, names=["a", "b"], scale=[1.0, 1.0], ax=ax
        ),
        "latent_scatter": lambda ax: plots.latent_scatter(z, np.arange(30) % 3, ax=ax),
        "kl_per_dimension": lambda ax: plots.kl_per_dimension([0.0, 1.0], ax=ax),
        "log_likelihood_comparison": lambda ax: plots.log_likelihood_comparison(
            (-1.0, 0.1), [("b", (-2.0, 0.1))], ax=ax
        ),
        "marginal_histogram": lambda ax: plots.marginal_histogram(z[:, 0], z[:, 1], ax=ax),
        "reconstruction_scatter": lambda ax: plots.reconstruction_scatter(z[:, 0], z[:, 1], ax=ax),
        "category_accuracy": lambda ax: plots.category_accuracy(
            [0, 1], np.log([[0.9, 0.1]] * 2), "ab", ax=ax
        ),
        "category_shares": lambda ax: plots.category_shares([0, 1], [1, 1], "ab", ax=ax),
    }


@pytest.mark.parametrize("name", _pictures())
def test_returns_the_axes_it_was_given_or_new_ones_and_changes_no_settings(name: str) -> None:
    draw = _pictures()[name]
    before = dict(rcParams)
    axes = Figure().subplots()
    assert untyped(draw)(axes) is axes
    own = untyped(draw)(None)
    assert isinstance(own, Axes)
    untyped(own.figure).draw_without_rendering()
    assert dict(rcParams) == before
    if name not in ("image_grid", "reconstruction_pairs"):
        assert own.get_xlabel()


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys, vaekit.plots as p; p.kl_per_dimension([1.0]).figure.draw_without_rendering(); "
        "p.latent_scatter([[0.0, 1.0], [1.0, 0.0]], ['a', 'b']).figure.draw_without_rendering(); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    source = str(Path(plots.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0


@pytest.mark.parametrize(("quantity", "shift"), [("bound", 0.0), ("reconstruction", 2.0)])
def test_learning_curve_draws_the_history_and_marks_the_best_epoch(quantity: str, shift: float) -> None:
    bounds = [-9.0, -5.0, -4.0]
    ax = plots.learning_curve(_history(bounds, best=2), quantity=untyped(quantity))
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(untyped(lines["validation rows"].get_ydata()), np.array(bounds) + shift)
    assert [float(v) for v in untyped(lines["best epoch"].get_xydata())[0]] == [2.0, bounds[1] + shift]


def test_learning_curve_without_validation_rows_and_with_missing_numbers() -> None:
    ax = plots.learning_curve(_history([-9.0, float("nan"), -4.0], validation=False, best=3))
    labels = [text.get_text() for text in known(ax.get_legend()).get_texts()]
    assert labels == ["training rows", "best epoch"]
    assert plots.learning_curve(History()).get_legend() is None


def test_learning_curve_says_what_it_leaves_out() -> None:
    bounds = [-1e6, -500.0] + [-10 + 0.1 * i for i in range(20)]
    ax = plots.learning_curve(_history(bounds, best=22))
    assert ax.get_title(loc="right") == "the first 2 epochs begin below the frame"
    assert -13 < ax.get_ylim()[0] < -11
    assert plots.learning_curve(_history([-10.0 + i for i in range(8)])).get_title(loc="right") == ""


def test_montage_keeps_every_pixel() -> None:
    images = RNG.integers(0, 256, size=(5, 3, 4, 6), dtype=np.uint8)
    picture = plots.montage(images, columns=3)
    assert picture.shape == (2 * 5 + 1, 3 * 7 + 1, 4)
    np.testing.assert_array_equal(picture[6:10, 8:14, :3], images[4].transpose(1, 2, 0))
    assert picture[6:10, 15:21, 3].max() == 0, "no sixth image: transparent"
    grey = plots.montage(images[:, :1].astype(float) / 255, columns=3)
    np.testing.assert_array_equal(grey[1:5, 1:7, 1], images[0, 0])


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_montage_takes_any_number_of_channels(channels: int) -> None:
    images = RNG.random((2, channels, 3, 3))
    picture = plots.montage(images, columns=2)
    expected = images[0] if channels == 4 else np.repeat(images[0].mean(0)[None], 3, axis=0)
    np.testing.assert_array_equal(
        picture[1:4, 1:4, : len(expected)], np.round(expected * 255).transpose(1, 2, 0)
    )


def test_images_of_the_wrong_shape_are_refused_with_advice() -> None:
    with pytest.raises(ValueError, match=r"images\[:, None\]"):
        plots.image_grid(np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match="one reconstruction of the same shape"):
        plots.reconstruction_pairs(np.zeros((3, 1, 4, 4)), np.zeros((2, 1, 4, 4)))


def test_shrink_averages() -> None:
    image = np.arange(16.0).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(plots.shrink(image, 2)[0, 0], [[2.5, 4.5], [10.5, 12.5]])
    assert plots.shrink(image, 4) is image


def test_manifold_is_the_inverse_normal_grid_with_the_second_dimension_upwards() -> None:
    seen = []

    def decode(z: np.ndarray) -> np.ndarray:
        seen.append(z)
        return np.zeros((len(z), 1, 2, 2))

    plots.latent_manifold(decode, side=4)
    z = seen[0].reshape(4, 4, 2)
    np.testing.assert_allclose(norm.cdf(z[0, :, 0]), [0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(norm.cdf(z[:, 0, 1]), [0.875, 0.625, 0.375, 0.125])


def test_traversals_take_the_most_active_dimensions_one_at_a_time() -> None:
    seen = []

    def decode(z: np.ndarray) -> np.ndarray:
        seen.append(z)
        return np.zeros((len(z), 1, 2, 2))

    plots.latent_traversals(decode, 4, kl=[0.1, 3.0, 0.0, 1.0], rows=2, steps=3)
    z = seen[0].reshape(2, 3, 4)
    place = norm.ppf([0.05, 0.5, 0.95])
    np.testing.assert_allclose(z[0, :, 1], place, atol=1e-12)
    np.testing.assert_allclose(z[1, :, 3], place, atol=1e-12)
    assert np.abs(np.delete(z[0], 1, axis=1)).max() == 0
    with pytest.raises(ValueError, match="one number for each"):
        plots.latent_traversals(decode, 4, kl=[1.0])


def test_principal_components_match_scikit_learn() -> None:
    z = RNG.normal(size=(40, 5)) * [3, 1, 2, 0.5, 0.1]
    ours, theirs = plots.principal_components(z), PCA(2).fit(z)
    np.testing.assert_allclose(np.abs(ours.scores), np.abs(theirs.transform(z)), atol=1e-9)
    np.testing.assert_allclose(ours.share, theirs.explained_variance_ratio_)
    ax = plots.latent_scatter(z)
    assert f"({100 * ours.share[1]:.0f} % of variance)" in ax.get_ylabel()


@pytest.mark.parametrize(
    ("labels", "legend"),
    [
        (np.arange(60) % 3, ["0", "1", "2"]),
        (np.array(["_a", "$x_{$", "日本"] * 20), ["$x_{$", "\u200b_a", "日本"]),
        (np.array([f"c{i:02}" for i in range(30)] * 2), ["all others", *(f"c0{i}" for i in range(9))]),
        (np.array([0.5, 1.5] * 30), ["0.5", "1.5"]),
    ],
)
@pytest.mark.parametrize("latent", [1, 2, 4])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_scatter_names_classes(labels: np.ndarray, legend: list[str], latent: int) -> None:
    ax = plots.latent_scatter(RNG.normal(size=(60, latent)), labels)
    assert [text.get_text() for text in known(ax.get_legend()).get_texts()] == legend
    untyped(ax.figure).draw_without_rendering()


def test_scatter_gives_many_numbers_a_colour_scale() -> None:
    labels = RNG.normal(size=50)
    ax = plots.latent_scatter(RNG.normal(size=(50, 2)), labels)
    assert ax.get_legend() is None
    assert len(ax.figure.axes) == 2
    np.testing.assert_array_equal(ax.collections[0].get_array(), labels)
    with pytest.raises(ValueError, match="one label per row"):
        plots.latent_scatter(RNG.normal(size=(50, 2)), labels[:3])


def test_kl_is_sorted_and_active_dimensions_are_counted() -> None:
    kl = [0.005, 2.0, 0.02, 0.01]
    ax = plots.kl_per_dimension(kl)
    assert [untyped(bar).get_height() for bar in ax.patches] == sorted(kl, reverse=True)
    assert ax.get_title(loc="left").startswith("2 of 4 dimensions active")
    assert not plots.kl_per_dimension(np.ones(500)).patches
    with pytest.raises(ValueError, match=r"expected \(latent,\)"):
        plots.kl_per_dimension(np.ones((2, 2)))


def test_comparison_places_dots_at_means_best_on_top() -> None:
    ax = plots.log_likelihood_comparison(
        (-2.0, 0.1), [("best", (-1.0, 0.1)), ("one row", (-3.0, float("nan")))]
    )
    dots = {text.get_text(): line for text, line in zip(ax.texts, ax.lines[::3], strict=True)}
    assert {name: float(untyped(line.get_xdata())[0]) for name, line in dots.items()} == {
        "this model": -2.0,
        "best": -1.0,
        "one row": -3.0,
    }
    heights = {name: float(untyped(line.get_ydata())[0]) for name, line in dots.items()}
    assert heights["best"] > heights["this model"] > heights["one row"]


def test_distance_and_r_squared_match_scipy_and_scikit_learn() -> None:
    a, b = RNG.normal(size=(80, 3)), RNG.normal([0, 1, 0.2], size=(50, 3))
    expected = [untyped(ks_2samp(a[:, j], b[:, j])).statistic for j in range(3)]
    np.testing.assert_allclose(plots.distance(a, b), expected)
    fitted = a + RNG.normal(size=a.shape)
    np.testing.assert_allclose(plots.r_squared(a, fitted), r2_score(a, fitted, multioutput="raw_values"))


@pytest.mark.parametrize(
    "data", [np.arange(50) % 2, np.full(5, 3.3), np.array([1e9, 1e9 + 1]), RNG.normal(size=90)]
)
def test_histogram_counts_every_row_once(data: np.ndarray) -> None:
    ax = plots.marginal_histogram(data, np.concatenate([data, [1e12]]), name="a$b_{")
    for patch in ax.patches:
        values, _, _ = untyped(patch).get_data()
        assert values.sum() == pytest.approx(1.0)
    untyped(ax.figure).draw_without_rendering()


def test_category_scores_match_scikit_learn() -> None:
    codes, p = RNG.integers(0, 4, size=70), RNG.dirichlet(np.ones(4), size=70)
    scores = plots.category_scores(codes, np.log(p))
    assert scores.accuracy == pytest.approx(accuracy_score(codes, p.argmax(axis=1)))
    assert scores.cross_entropy == pytest.approx(log_loss(codes, p, labels=range(4)))
    frequencies = np.bincount(codes) / len(codes)
    assert scores.most_frequent == pytest.approx(frequencies.max())
    assert scores.entropy == pytest.approx(log_loss(codes, np.tile(frequencies, (70, 1)), labels=range(4)))


def test_many_categories_are_the_most_frequent_by_name() -> None:
    data = np.repeat(np.arange(12), np.arange(1, 13))
    ax = plots.category_shares(data, data, [f"${k}_{{ a long name" for k in range(12)])
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["$11_{ a lon…", "$10_{ a lon…"]
    assert len(ax.get_yticks()) == 8
    untyped(ax.figure).draw_without_rendering()


@pytest.mark.parametrize(
    "values", [RNG.normal(size=50) * 1e-6, 2e5 + np.arange(50.0) / 10, RNG.normal(size=50)]
)
def test_ticks_of_columns_carry_no_offset(values: np.ndarray) -> None:
    ax = plots.reconstruction_scatter(values, values)
    untyped(ax.figure).draw_without_rendering()
    for axis in (ax.xaxis, ax.yaxis):
        assert axis.get_offset_text().get_text() == ""
        places = [float(label.get_text().replace("−", "-")) for label in axis.get_ticklabels()]
        np.testing.assert_allclose(
            places, axis.get_majorticklocs(), rtol=1e-6, atol=1e-6 * np.abs(values).max()
        )


def test_latents_are_numbered_as_encode_numbers_them() -> None:
    ax = plots.kl_per_dimension([0.1, 3.0])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["z₁", "z₀"]
    assert plots.latent_scatter(RNG.normal(size=(9, 2))).get_ylabel() == "z₁"
