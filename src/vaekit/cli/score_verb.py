"""``vaekit score NAME.vae DATA -o OUT``: rows to log-likelihoods."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from vaekit.cli.options import RowVerb
from vaekit.cli.printing import print_written

__all__ = ["Score"]


@dataclass(frozen=True, kw_only=True)
class Score(RowVerb):
    """Score rows: write log p(x) of each, in nats; low scores are outliers."""

    samples: Annotated[int, tyro.conf.arg(help="Importance samples a row.")] = 100

    def run(self) -> int:
        """Score, write and print."""
        from vaekit.application import score_to_file

        options = self.opening()
        written = score_to_file(
            self.artifact,
            self.data,
            self.destination(),
            samples=self.samples,
            **options,
        )
        return print_written(written, as_json=self.json)
