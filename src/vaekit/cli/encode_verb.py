"""``vaekit encode NAME.vae DATA -o OUT``: rows to latents."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from vaekit.cli.options import RowVerb
from vaekit.cli.printing import print_written

__all__ = ["Encode"]


@dataclass(frozen=True, kw_only=True)
class Encode(RowVerb):
    """Encode rows: write the posterior means, or with --codes the codes of a model that has them, one row each."""

    codes: Annotated[
        bool,
        tyro.conf.arg(help="Write whole numbers, the code of each position, where the latents are codes."),
    ] = False

    def run(self) -> int:
        """Encode, write and print."""
        from vaekit.application import encode_to_file

        written = encode_to_file(
            self.artifact,
            self.data,
            self.destination(),
            codes=self.codes,
            **self.opening(),
        )
        return print_written(written, as_json=self.json)
