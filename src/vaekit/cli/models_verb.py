"""``vaekit models``: the literature's models and their sentences."""

from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from vaekit.cli.options import JsonFlag
from vaekit.cli.printing import print_json

__all__ = ["Models"]


@dataclass(frozen=True, kw_only=True)
class Models:
    """List the literature's models: name, sentence of parts, paper and equation."""

    name: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME", help="One of them; all by default.")
    ] = None
    json: JsonFlag = False

    def run(self) -> int:
        """Print the table, or one model of it."""
        from vaekit.sentence.literature import MODELS, find_model

        shown = MODELS if self.name is None else (find_model(self.name),)
        if self.json:
            print_json({"models": [{**asdict(model), "sentence": model.sentence} for model in shown]})
            return 0
        for model in shown:
            print(f"{model.name:<16} {'left out' if model.is_left_out else model.sentence}")
            print(f"{'':<16} {model.title}. {model.paper}, {model.place}")
            if model.note:
                print(f"{'':<16} {model.note}")
        if self.name is None:
            self._print_packages()
            print("\nvaekit fit DATA --model NAME, and any part beside it: --model vamp --posterior full")
        return 0

    @staticmethod
    def _print_packages() -> None:
        """Print the parts that installed packages offer beside ours."""
        from vaekit.sentence import PARTS, imports_of

        offered = [
            part for room, kinds in PARTS.items() for kind in kinds for part in imports_of([(room, kind)])
        ]
        if offered:
            print("\nparts of installed packages")
        for part in offered:
            print(f"{part['room']}={part['kind']:<20} {part['package'] or part['module']}")
