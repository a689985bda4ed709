"""``vaekit reproduce NAME``: an experiment, beside published numbers or earlier ones."""

import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from vaekit.cli.options import DataDirOption, Device, JsonFlag
from vaekit.cli.printing import print_json

__all__ = ["Reproduce"]


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Repeat an experiment on MNIST or on tables, and put what is measured beside published or earlier numbers."""

    name: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="NAME", help="Which one; without it, all are listed."),
    ] = None
    data_dir: DataDirOption = None
    epochs: Annotated[
        int | None, tyro.conf.arg(help="Stop after so many, as the result then says; by default all of them.")
    ] = None
    batch_size: Annotated[
        int | None,
        tyro.conf.arg(
            help="Images a step, which the result states as a deviation; by default the protocol's."
        ),
    ] = None
    learning_rate: Annotated[
        float | None,
        tyro.conf.arg(help="To go with another batch size, stated as well; by default the protocol's."),
    ] = None
    samples: Annotated[
        int | None,
        tyro.conf.arg(
            help="Importance samples of log p(x), at most the protocol's, stated as well; by default all of them."
        ),
    ] = None
    seed: Annotated[
        int, tyro.conf.arg(help="Of initialisation, order, noise, binarisation, halves and holes.")
    ] = 0
    device: Device = "auto"
    minutes: Annotated[
        float | None,
        tyro.conf.arg(
            help="Stop at the next step of the training, or after the present table, when so many are over, and keep "
            "what is done for --resume."
        ),
    ] = None
    resume: Annotated[bool, tyro.conf.arg(help="Go on with a reproduction that was stopped or killed.")] = (
        False
    )
    output: Annotated[
        Path | None, tyro.conf.arg(aliases=["-o"], metavar="OUT.json", help="Where to write the result.")
    ] = None
    json: JsonFlag = False

    def run(self) -> int:
        """List, or reproduce and print."""
        from vaekit.application.unfinished import checkpoint_folder
        from vaekit.errors import UsageError
        from vaekit.reproductions import all_experiments, find_experiment, reproduce
        from vaekit.training import StopRequest, TimeLimit
        from vaekit.training.checkpoints import remove_checkpoints

        if self.name is None:
            self._list(all_experiments())
            return 0
        experiment = find_experiment(self.name)
        if self.output is not None and not self.output.absolute().parent.is_dir():
            raise UsageError(f"the folder of {self.output} does not exist; make it first")
        stop = StopRequest() if self.minutes is None else TimeLimit(self.minutes)
        folder = checkpoint_folder(self.output or Path(experiment.name))
        result = reproduce(
            experiment,
            data_dir=self.data_dir,
            seed=self.seed,
            device=self.device,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            samples=self.samples,
            folder=folder,
            resume=self.resume,
            stop=stop,
            say=lambda line: print(f"vaekit: {line}", file=sys.stderr, flush=True),
        )
        if not result["finished"]:
            return self._say_how_to_go_on(result, stop.signal)
        if self.output is not None:
            self.output.write_text(json.dumps(result, indent=2) + "\n")
        remove_checkpoints(folder)
        self._print(result)
        return 0

    def _say_how_to_go_on(self, result: dict[str, Any], stopped_by: signal.Signals | None) -> int:
        if self.json:
            print_json(result)
        why = f"{self.minutes:g} minutes are over" if stopped_by is None else stopped_by.name
        print(
            f"vaekit: {why}: {result['progress']}, {result['seconds']:.0f} s so far; to go on, give the same command "
            "with --resume",
            file=sys.stderr,
        )
        return 0 if stopped_by is None else 128 + stopped_by

    def _list(self, experiments: Any) -> None:
        if self.json:
            print_json({"reproductions": [experiment.to_json() for experiment in experiments]})
            return
        for experiment in experiments:
            print(f"{experiment.name:<28} {experiment.title}")

    def _print(self, result: dict[str, Any]) -> None:
        from vaekit.reproductions import KINDS

        if self.json:
            print_json(result)
            return
        kinds = {kind for row in result["figures"] for kind in KINDS if row.get(kind) is not None}
        several = len(kinds) > 1
        heading = "expected" if several else "".join(kinds or {"published"}).replace("_", " ")
        print(f"{result['protocol']['unit']:<44} {'measured':>9} {heading:>15}")
        for row in result["figures"]:
            kind = next((kind for kind in KINDS if row.get(kind) is not None), "published")
            verdict = {None: "", True: "inside its spread", False: "outside its spread"}[row["inside"]]
            said = f"{verdict} ({kind.replace('_', ' ')})" if several and verdict else verdict
            print(f"{row['figure']:<44} {_rounded(row['measured']):>9} {_rounded(row[kind]):>15}  {said}")
        sittings = result["sittings"]
        devices = " and ".join(dict.fromkeys(sitting["device"] for sitting in sittings))
        count = "" if len(sittings) == 1 else f" in {len(sittings)} sittings"
        print(f"{result['progress']}, {result['seconds']:.0f} s{count} on {devices}")


def _rounded(value: float | None) -> str:
    """Return a number with two decimals, or four where it is small; a dash for none.

    >>> _rounded(104.5), _rounded(0.91823), _rounded(None)
    ('104.50', '0.9182', '-')
    """
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
