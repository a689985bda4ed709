"""``vaekit reconstruct NAME.vae DATA -o OUT``: rows to the model's versions of them."""

from dataclasses import dataclass

from vaekit.cli.options import ModelVerb, OutputOption
from vaekit.cli.printing import print_written

__all__ = ["Reconstruct"]


@dataclass(frozen=True, kw_only=True)
class Reconstruct(ModelVerb):
    """Encode and decode rows: write the model's version of each, in the units of the data."""

    output: OutputOption

    def run(self) -> int:
        """Reconstruct, write and print."""
        from vaekit.application import reconstruct_to_file

        written = reconstruct_to_file(self.artifact, self.data, self.output, **self.opening())
        return print_written(written, as_json=self.json)
