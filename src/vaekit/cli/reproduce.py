"""``vaekit reproduce NAME``: a published experiment, beside its published numbers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from vaekit.cli import common

__all__ = ["Reproduce"]


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Repeat a published experiment on MNIST and put what is measured beside what was published."""

    name: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="NAME", help="Which one; without it, all are listed."),
    ] = None
    data_dir: common.DataDirOption = None
    epochs: Annotated[
        int | None, tyro.conf.arg(help="Stop after so many, as the result then says; by default all of them.")
    ] = None
    seed: Annotated[int, tyro.conf.arg(help="Of initialisation, order, noise and binarisation.")] = 0
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="Where to compute.")] = "cpu"
    output: Annotated[
        Path | None, tyro.conf.arg(aliases=["-o"], metavar="OUT.json", help="Where to write the result.")
    ] = None
    json: common.JsonFlag = False

    def run(self) -> int:
        """List, or reproduce and print."""
        from vaekit.errors import UsageError
        from vaekit.reproductions import PROTOCOLS, find_protocol, reproduce

        if self.name is None:
            self._list(PROTOCOLS)
            return 0
        protocol = find_protocol(self.name)
        if self.epochs is not None and self.epochs < 1:
            raise UsageError(f"--epochs {self.epochs}: give a whole number of at least 1")
        if self.output is not None and not self.output.absolute().parent.is_dir():
            raise UsageError(f"the folder of {self.output} does not exist; make it first")
        result = reproduce(
            protocol,
            data_dir=self.data_dir,
            seed=self.seed,
            device=self.device,
            epochs=self.epochs,
            say=common.say,
        )
        if self.output is not None:
            self.output.write_text(json.dumps(result, indent=2) + "\n")
        self._print(result)
        return 0

    def _list(self, protocols: Any) -> None:
        if self.json:
            common.print_json({"reproductions": [protocol.to_json() for protocol in protocols]})
            return
        for protocol in protocols:
            print(f"{protocol.name:<24} {protocol.title}")

    def _print(self, result: dict[str, Any]) -> None:
        if self.json:
            common.print_json(result)
            return
        print(f"{'nats an image':<44} {'measured':>9} {'published':>10}")
        for row in result["figures"]:
            measured = "-" if row["measured"] is None else f"{row['measured']:.2f}"
            published = "-" if row["published"] is None else f"{row['published']:.2f}"
            verdict = {None: "", True: "inside its spread", False: "outside its spread"}[row["inside"]]
            print(f"{row['figure']:<44} {measured:>9} {published:>10}  {verdict}")
        done = f"{result['epochs']} of {result['epochs_of_the_protocol']} epochs ({result['stopped']})"
        print(f"{done}, {result['seconds']:.0f} s on {result['device']}")
