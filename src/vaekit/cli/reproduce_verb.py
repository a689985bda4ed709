"""``vaekit reproduce NAME``: a published experiment, beside its published numbers."""

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
    """Repeat a published experiment on MNIST and put what is measured beside what was published."""

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
    seed: Annotated[int, tyro.conf.arg(help="Of initialisation, order, noise and binarisation.")] = 0
    device: Device = "auto"
    minutes: Annotated[
        float | None,
        tyro.conf.arg(help="Stop the training at the next step after so many, and keep it for --resume."),
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
        from vaekit.reproductions import PROTOCOLS, find_protocol, reproduce
        from vaekit.training import StopRequest, TimeLimit
        from vaekit.training.checkpoints import remove_checkpoints

        if self.name is None:
            self._list(PROTOCOLS)
            return 0
        protocol = find_protocol(self.name)
        if self.output is not None and not self.output.absolute().parent.is_dir():
            raise UsageError(f"the folder of {self.output} does not exist; make it first")
        stop = StopRequest() if self.minutes is None else TimeLimit(self.minutes)
        folder = checkpoint_folder(self.output or Path(protocol.name))
        result = reproduce(
            protocol,
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
        of = result["protocol"]["settings"]["epochs"]
        training = f"{result['epochs']} of {of} epochs" if result["stopped"] == "interrupted" else "trained"
        why = f"{self.minutes:g} minutes are over" if stopped_by is None else stopped_by.name
        print(
            f"vaekit: {why}: {training}, {result['seconds']:.0f} s so far; to go on, give the same command with "
            "--resume",
            file=sys.stderr,
        )
        return 0 if stopped_by is None else 128 + stopped_by

    def _list(self, protocols: Any) -> None:
        if self.json:
            print_json({"reproductions": [protocol.to_json() for protocol in protocols]})
            return
        for protocol in protocols:
            print(f"{protocol.name:<24} {protocol.title}")

    def _print(self, result: dict[str, Any]) -> None:
        if self.json:
            print_json(result)
            return
        print(f"{'nats an image':<44} {'measured':>9} {'published':>10}")
        for row in result["figures"]:
            measured = "-" if row["measured"] is None else f"{row['measured']:.2f}"
            published = "-" if row["published"] is None else f"{row['published']:.2f}"
            verdict = {None: "", True: "inside its spread", False: "outside its spread"}[row["inside"]]
            print(f"{row['figure']:<44} {measured:>9} {published:>10}  {verdict}")
        done = f"{result['epochs']} of {result['epochs_of_the_protocol']} epochs ({result['stopped']})"
        sittings = result["sittings"]
        devices = " and ".join(dict.fromkeys(sitting["device"] for sitting in sittings))
        count = "" if len(sittings) == 1 else f" in {len(sittings)} sittings"
        print(f"{done}, {result['seconds']:.0f} s{count} on {devices}")
