"""``vaekit classify NAME.vae DATA -o OUT``: rows to labels and their probabilities."""

from dataclasses import dataclass

from vaekit.cli.options import RowVerb
from vaekit.cli.printing import print_written

__all__ = ["Classify"]


@dataclass(frozen=True, kw_only=True)
class Classify(RowVerb):
    """Classify rows: write the most probable label of each, and the probability of every label."""

    def run(self) -> int:
        """Classify, write and print."""
        from vaekit.application import classify_to_file

        written = classify_to_file(self.artifact, self.data, self.destination(), **self.opening())
        return print_written(written, as_json=self.json)
