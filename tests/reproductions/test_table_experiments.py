"""Experiments on tables: whole protocols, steps that are noted and gone on with, and a sentence for each mistake."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vaekit.cli import main
from vaekit.errors import CheckpointError, DataError, UsageError
from vaekit.reproductions import PROTOCOLS, TABLES, all_experiments, find_experiment, find_protocol, reproduce
from vaekit.reproductions.figures import Figure, beside
from vaekit.reproductions.tables.false_alarm_rates import FALSE_ALARMS, binomial_error, good_rows
from vaekit.reproductions.tables.ranked_outliers import OUTLIERS, read_outliers
from vaekit.reproductions.tables.table_experiment import TableExperiment
from vaekit.reproductions.tables.table_files import find_file, read_adult
from vaekit.training import StopRequest

RESULTS = Path(__file__).parents[2] / "benchmarks" / "tables"


class Counted:
    """Steps that say how often they were taken, and stop the run after so many."""

    def __init__(self, stop=None, after=99):
        self.taken, self.stop, self.after = [], stop, after

    def step(self, name, value):
        def take(data_dir, seed):
            self.taken.append(name)
            if self.stop is not None and len(self.taken) == self.after:
                self.stop.ask()
            return {"error": value + seed}

        return take

    def experiment(self):
        return TableExperiment(
            name="tiny",
            title="Three steps",
            source="nowhere",
            unit="error",
            files=(),
            cut="nothing",
            seeds="of nothing",
            steps={name: self.step(name, value) for name, value in (("a", 0.1), ("b", 0.2), ("c", 0.3))},
            summary=lambda figures: {"mean error": sum(figures.values()) / len(figures)},
            references={"a, error": Figure(0.1, 0.05, "measured_before"), "mean error": Figure(9.0, 0.1)},
            spread="made up",
        )


@pytest.fixture
def adbench(tmp_path):
    """A folder with the eight sets, small and made up: a cloud, and outliers far from it."""
    rng = np.random.default_rng(0)
    for file in OUTLIERS.files:
        x = rng.normal(size=(90, 3)) @ rng.normal(size=(3, 3))
        y = np.zeros(90)
        x[:6], y[:6] = x[:6] + 9, 1
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        np.savez(path, X=x, y=y)
    return tmp_path


def test_every_experiment_states_its_protocol_and_names_figures_that_it_measures():
    names = [experiment.name for experiment in all_experiments()]
    assert len(set(names)) == len(names) == len(PROTOCOLS) + len(TABLES)
    for experiment in TABLES:
        facts = experiment.to_json()
        assert all(facts[key] for key in ("title", "source", "unit", "cut", "seeds", "steps", "references"))
        steps = list(experiment.steps)
        assert not [(a, b) for a in steps for b in steps if a != b and b.startswith(f"{a}, ")]
        of_steps = [f for f in experiment.references if any(f.startswith(f"{name}, ") for name in steps)]
        rest = set(experiment.references) - set(of_steps)
        assert rest <= {name for name in experiment.references if ", " not in name}
        assert all(figure.spread > 0 for figure in experiment.references.values())
    assert find_experiment("tables-outliers") is OUTLIERS
    with pytest.raises(UsageError, match="did you mean 'tables-outliers'"):
        find_experiment("tables-outlier")
    with pytest.raises(UsageError, match="experiment on tables"):
        find_protocol("tables-outliers")


def test_a_run_takes_every_step_once_and_sums_up():
    counted = Counted()
    said = []
    result = reproduce(counted.experiment(), seed=0, say=said.append)
    assert counted.taken == ["a", "b", "c"]
    figures = {row["figure"]: row for row in result["figures"]}
    assert list(figures) == ["a, error", "b, error", "c, error", "mean error"]
    assert figures["mean error"]["measured"] == pytest.approx(0.2)
    assert (figures["mean error"]["published"], figures["mean error"]["inside"]) == (9.0, False)
    assert (figures["a, error"]["measured_before"], figures["a, error"]["inside"]) == (0.1, True)
    assert (figures["b, error"]["published"], figures["b, error"]["inside"]) == (None, None)
    assert (result["finished"], result["progress"]) == (True, "3 of 3 steps")
    assert "b: error 0.2" in said
    assert reproduce(counted.experiment(), seed=1)["figures"][0]["measured"] == pytest.approx(1.1)


def test_a_stopped_run_goes_on_with_the_steps_that_are_left(tmp_path):
    folder, stop = tmp_path / "kept", StopRequest()
    first = Counted(stop, after=2)
    stopped = reproduce(first.experiment(), folder=folder, stop=stop)
    assert (stopped["finished"], stopped["steps"], stopped["progress"]) == (False, 2, "2 of 3 steps")
    assert [row["figure"] for row in stopped["figures"] if row["measured"] is None] == ["mean error"]
    with pytest.raises(CheckpointError, match="unfinished reproduction; resume it"):
        reproduce(first.experiment(), folder=folder)
    with pytest.raises(CheckpointError, match="seed was 0, and is 1"):
        reproduce(first.experiment(), folder=folder, resume=True, seed=1)
    with pytest.raises(CheckpointError, match="reproduction was tiny, and is other"):
        reproduce(replace(first.experiment(), name="other"), folder=folder, resume=True)
    second = Counted()
    result = reproduce(second.experiment(), folder=folder, resume=True)
    assert second.taken == ["c"]
    assert result["figures"] == reproduce(Counted().experiment())["figures"]
    assert len(result["sittings"]) == 2
    assert list(folder.iterdir()) == []


def test_what_a_killed_run_has_finished_is_noted(tmp_path):
    counted = Counted()
    experiment = counted.experiment()

    def broken(data_dir, seed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(replace(experiment, steps={**experiment.steps, "b": broken}), folder=tmp_path / "kept")
    reproduce(experiment, folder=tmp_path / "kept", resume=True)
    assert counted.taken == ["a", "b", "c"]


@pytest.mark.parametrize(
    "option",
    [{"epochs": 2}, {"batch_size": 8}, {"learning_rate": 0.1}, {"samples": 5}, {"device": "cuda"}],
    ids=lambda option: next(iter(option)),
)
def test_options_of_a_training_are_refused(option, tmp_path, capsys):
    name, value = next(iter(option.items()))
    with pytest.raises(UsageError, match=f"{name}={value}: tables-outliers is an experiment on tables"):
        reproduce(OUTLIERS, data_dir=tmp_path, **option)
    assert main(["reproduce", "tables-outliers", f"--{name.replace('_', '-')}", str(value)]) == 2
    assert "an experiment on tables, which runs on the CPU" in capsys.readouterr().err


def test_missing_and_wrong_files_are_named(tmp_path, adbench):
    with pytest.raises(DataError, match=r"18_Ionosphere.npz was not found; give data_dir=FOLDER"):
        reproduce(OUTLIERS)
    (adbench / "outliers" / "45_wine.npz").unlink()
    with pytest.raises(DataError, match=r"outliers/45_wine.npz was not found in .*give data_dir=FOLDER"):
        reproduce(OUTLIERS, data_dir=adbench)
    (tmp_path / "45_wine.npz").write_text("no table")
    assert find_file(tmp_path, "outliers/45_wine.npz") == tmp_path / "45_wine.npz"
    with pytest.raises(DataError, match=r"45_wine.npz is not one of ADBench's tables"):
        read_outliers(tmp_path, "45_wine")
    (tmp_path / "adult.data").write_text("1, 2, 3\n")
    with pytest.raises(DataError, match=r"adult.data has 3 columns, and UCI Adult 15"):
        read_adult(tmp_path)


def test_outliers_and_false_alarms_of_made_up_sets_from_the_command_line(adbench, tmp_path, capsys):
    output = tmp_path / "found.json"
    few = {name: OUTLIERS.steps[name] for name in ("wine", "breastw")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vaekit.reproductions.catalogue.TABLES", (replace(OUTLIERS, steps=few),))
        command = ["reproduce", "tables-outliers", "--data-dir", str(adbench), "-o", str(output)]
        assert main([*command, "--minutes", "1e-9"]) == 0
        said = capsys.readouterr()
        assert "1e-09 minutes are over: 0 of 2 steps" in said.err
        assert main([*command, "--resume"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0].split() == [
        "area",
        "under",
        "the",
        "ROC",
        "curve",
        "measured",
        "measured",
        "before",
    ]
    assert "2 of 2 steps, " in said.out
    result = json.loads(output.read_text())
    figures = {row["figure"]: row["measured"] for row in result["figures"]}
    assert figures["mean AUROC"] == pytest.approx((figures["wine, AUROC"] + figures["breastw, AUROC"]) / 2)
    assert figures["mean AUROC"] > 0.99, "outliers that anybody finds"
    assert not output.with_name("found.json.training").exists()
    found = FALSE_ALARMS.steps["wine"](adbench, 0)
    assert found["at 0.01"] <= found["at 0.05"] <= found["at 0.1"] < 0.1 + binomial_error(0.1, 84)


def test_numbers_measured_before_are_those_that_are_committed():
    document = json.loads((RESULTS / "outliers.json").read_text())["given"]
    for name, table in document["tables"].items():
        seeds = table["methods"]["vaekit"]["auroc"]
        figure = OUTLIERS.references[f"{name}, AUROC"]
        assert figure.value == pytest.approx(np.mean(seeds), abs=1e-4)
        assert figure.spread == pytest.approx(np.ptp(seeds), abs=1e-4)
    assert OUTLIERS.references["mean AUROC"].value == document["mean_auroc"]["vaekit"]
    document = json.loads((RESULTS / "false_alarms.json").read_text())
    for name, table in document["tables"].items():
        for rate in document["rates"]:
            figure = FALSE_ALARMS.references[f"{name}, at {rate:g}"]
            assert (figure.value, figure.kind) == (rate, "promised")
            assert figure.spread == pytest.approx(table[f"{rate:g}"]["binomial_error"], abs=1e-4)


def test_rows_that_are_cut_are_the_same_every_time(adbench):
    x, y = read_outliers(adbench, "45_wine")
    assert np.array_equal(x, read_outliers(adbench / "outliers", "45_wine")[0])
    assert y.sum() == 6
    assert len(good_rows(adbench, "45_wine")) == 84
    assert beside({}, {"a": 1.0}) == [
        {"figure": "a", "measured": 1.0, "published": None, "spread": None, "inside": None}
    ]
