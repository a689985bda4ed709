"""``vaekit reconstruct NAME.vae DATA -o OUT``: rows to the model's versions of them."""

from dataclasses import dataclass

from vaekit.cli.options import RowVerb
from vaekit.cli.printing import print_written

__all__ = ["Reconstruct"]


@dataclass(frozen=True, kw_only=True)
class Reconstruct(RowVerb):
    """Encode and decode rows: write the model's version of each, in the units of the data."""

    def run(self) -> int:
        """Reconstruct, write and print."""
        from vaekit.application import reconstruct_to_file

        written = reconstruct_to_file(self.artifact, self.data, self.destination(), **self.opening())
        return print_written(written, as_json=self.json)
