"""The verdict is honest: above, below, level, or unknown, and it warns where a number is not to be trusted."""

from dataclasses import replace

import numpy as np
import pytest

from vaekit.artifact import Artifact
from vaekit.data import Dataset, Schema
from vaekit.evaluation import Baseline, Estimate, Evaluation
from vaekit.report.numbers import advantage, estimate, main_result, number_rows
from vaekit.report.verdict import Notice, judge
from vaekit.sentence import Sentence, build_vae
from vaekit.training import EpochMetrics, History, TrainingSettings

ACTIVE = [1.0, 2.0, 0.5]


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    rows = np.random.default_rng(0).normal(size=(8, 2))
    sentence = Sentence.parse(likelihood="gaussian", network="mlp:hidden=none")
    schema = Schema.fit(Dataset(rows, "table", ("a", "b")), scaling="standardize")
    model = build_vae(sentence, (2,), latent=3)
    return Artifact(model, sentence, 3, schema, TrainingSettings(epochs=40), 0, _history(3, best=2), {})


def _history(epochs: int, *, best: int, stopped: str = "patience") -> History:
    lines = [
        EpochMetrics(
            epoch=i + 1,
            epochs=epochs,
            train_bound=-3.0,
            train_reconstruction=-2.0,
            train_kl=1.0,
            validation_bound=-3.0,
            validation_reconstruction=-2.0,
            validation_kl=1.0,
            kl_per_dimension=ACTIVE,
            learning_rate=1e-3,
            seconds=0.1,
        )
        for i in range(epochs)
    ]
    return History(lines, best, stopped)


def _evaluation(
    mean: float,
    *baselines: float,
    split: str = "test",
    error: float = 0.3,
    size: float = 60.0,
    samples: int = 200,
) -> Evaluation:
    return Evaluation(
        elbo=Estimate(mean - 0.5, error),
        log_likelihood=Estimate(mean, error),
        reconstruction=mean + 2,
        kl=2.5,
        kl_per_dimension=ACTIVE,
        samples=samples,
        effective_sample_size=size,
        smallest_effective_sample_size=1.5,
        bits_per_dimension=1.25,
        baselines=[Baseline(f"baseline {i}", Estimate(value, 0.4)) for i, value in enumerate(baselines)],
        examples=100,
        split=split,
    )


def _titles(notices: list[Notice]) -> str:
    return "\n".join(notice.title for notice in notices)


def test_advantage_is_over_the_best_baseline_with_both_errors() -> None:
    found = advantage(_evaluation(-10.0, -15.0, -12.0, float("nan")))
    assert found is not None
    assert (found.baseline, found.mean, found.outcome) == ("baseline 1", 2.0, "above")
    assert found.standard_error == pytest.approx(0.5)
    assert advantage(_evaluation(-10.0)) is None


def test_an_advantage_measured_row_by_row_is_preferred(artifact: Artifact) -> None:
    paired = Baseline("mixture", Estimate(-10.3, 0.4), Estimate(0.3, 0.05))
    result = replace(_evaluation(-10.0, -12.0), baselines=[paired])
    found = advantage(result)
    assert found is not None
    assert (found.mean, found.standard_error, found.outcome) == (0.3, 0.05, "above")
    assert "above the best baseline by 0.300 ± 0.050" in judge(artifact, {"test": result}, ACTIVE)[0].title
    row = number_rows({"test": result})[-1]
    assert (row.cells, row.remarks) == (["−10.30 ± 0.40"], ["model +0.300 ± 0.050"])


@pytest.mark.parametrize(
    ("mean", "level", "words"),
    [
        (
            -10.0,
            "good",
            "log-likelihood −10.00 ± 0.30 nats per example, above the best baseline by 2.00 ± 0.50",
        ),
        (
            -14.0,
            "bad",
            "log-likelihood −14.00 ± 0.30 nats per example, below the best baseline by 2.00 ± 0.50",
        ),
        (-12.9, "caution", "level with the best baseline (difference −0.90 ± 0.50)"),
    ],
)
def test_the_verdict_comes_first(artifact: Artifact, mean: float, level: str, words: str) -> None:
    first = judge(artifact, {"test": _evaluation(mean, -12.0, -13.0)}, ACTIVE)[0]
    assert first.level == level
    assert first.title.startswith("Held-out log-likelihood")
    assert words in first.title
    assert "baseline 0" in first.text
    assert bool(first.advice) == (level != "good"), "what to try where the model is not better"
    if level == "bad":
        assert "7.4 times" in first.text, "e^2, the best method's advantage"


def test_the_test_split_is_judged_before_the_validation_split() -> None:
    test, validation = _evaluation(-10.0), _evaluation(-9.0, split="validation")
    assert main_result({"validation": validation, "test": test}) is test
    assert main_result({"validation": validation}) is validation
    assert main_result({}) is None


@pytest.mark.parametrize(
    ("size", "samples", "warned"), [(60, 200, False), (9, 100, True), (11, 1000, True), (50, 1000, False)]
)
def test_a_small_effective_sample_size_is_a_loose_bound(
    artifact: Artifact, size: float, samples: int, warned: bool
) -> None:
    findings = judge(artifact, {"test": _evaluation(-10.0, -12.0, size=size, samples=samples)}, ACTIVE)
    assert ("loose lower bound" in _titles(findings)) == warned


@pytest.mark.parametrize(
    ("kl", "words"),
    [
        ([0.001, 0.01, 0.0], "Posterior collapse: no latent dimension is active"),
        ([0.001, 1.0, 0.0], "Nearly collapsed: only 1 of 3"),
        ([1.0], None),
        ([1.0, 1.0, 0.0], None),
        ([1.0] * 2 + [0.0] * 38, "Nearly collapsed: only 2 of 40"),
        (None, None),
    ],
)
def test_collapse_is_told(artifact: Artifact, kl: list[float] | None, words: str | None) -> None:
    titles = _titles(judge(artifact, {"test": _evaluation(-10.0, -12.0)}, kl))
    assert (words in titles) if words else "ollapse" not in titles


def test_an_interrupted_run_says_so(artifact: Artifact) -> None:
    stopped = replace(artifact, history=_history(3, best=2, stopped="interrupted"))
    finding = judge(stopped, {}, ACTIVE)[0]
    assert "interrupted" in finding.title
    assert "epoch 2, the best of 3 finished epochs" in finding.text
    assert "not been evaluated" in judge(artifact, {}, ACTIVE)[0].title
    assert "interrupted" in _titles(judge(stopped, {"test": _evaluation(-10.0, -12.0)}, ACTIVE))


def test_training_rows_and_missing_baselines_are_told(artifact: Artifact) -> None:
    titles = _titles(judge(artifact, {"train": _evaluation(-10.0, -12.0, split="train")}, ACTIVE))
    assert "Training log-likelihood" in titles
    assert "trained on" in titles
    lone = judge(artifact, {"all": _evaluation(-10.0, split="all")}, ACTIVE)[0]
    assert lone.level == "note"
    assert "no baseline" in lone.text


def test_a_run_that_ended_while_improving_is_told(artifact: Artifact) -> None:
    results = {"test": _evaluation(-10.0, -12.0)}
    improving = replace(artifact, history=_history(40, best=40, stopped="epochs"))
    assert "still getting better" in _titles(judge(improving, results, ACTIVE))
    assert "`--epochs 120`" in judge(improving, results, ACTIVE)[-1].advice[0]
    assert "still getting better" not in _titles(judge(artifact, results, ACTIVE))
    annealed = replace(improving, settings=TrainingSettings(epochs=40, schedule="cosine"))
    assert "still getting better" not in _titles(judge(annealed, results, ACTIVE))


@pytest.mark.parametrize(
    ("prior", "advice"), [("two-stage", ["--prior two-stage:samples=256"]), ("vamp", [])]
)
def test_a_prior_with_a_bounded_density_is_named_with_more_samples(
    artifact: Artifact, prior: str, advice: list[str]
) -> None:
    artifact = replace(artifact, sentence=Sentence.parse(prior=prior, likelihood="gaussian"))
    found = judge(artifact, {"test": replace(_evaluation(-2.0, -3.0), prior_samples=32)}, ACTIVE)
    (notice,) = [notice for notice in found if "density is a lower bound" in notice.title]
    assert f"of the prior, {prior}, is an integral" in notice.text
    assert "32 importance samples" in notice.text
    assert notice.advice == [f"Use more samples: `{flag}`." for flag in advice]


def test_the_table_holds_every_number_of_every_split() -> None:
    splits = {
        "validation": _evaluation(-9.0, -12.0, split="validation"),
        "test": _evaluation(-10.0, -13.0, -14.0),
    }
    rows = {row.name: row.cells for row in number_rows(splits)}
    assert rows["log-likelihood, log p(x)"] == ["−9.00 ± 0.30", "−10.00 ± 0.30"]
    assert rows["ELBO"] == ["−9.50 ± 0.30", "−10.50 ± 0.30"]
    assert rows["reconstruction"] == ["−7.00", "−8.00"]
    assert rows["KL"] == ["2.50", "2.50"]
    assert rows["bits per dimension"] == ["1.2500", "1.2500"]
    assert rows["effective sample size"] == ["60.0", "60.0"]
    assert rows["baseline 0"] == ["−12.00 ± 0.40", "−13.00 ± 0.40"]
    assert rows["baseline 1"] == ["–", "−14.00 ± 0.40"]


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (1234.5678, 0.0, "1,234.57 ± 0.00"),
        (-0.00123, 0.00045, "−0.00123 ± 0.00045"),
        (5e5, 1.2e4, "500,000 ± 12,000"),
    ],
)
def test_estimates_show_two_digits_of_the_error(mean: float, error: float, text: str) -> None:
    assert estimate((mean, error)) == text
