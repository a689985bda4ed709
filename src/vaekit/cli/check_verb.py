"""``vaekit check FILE``: name the mistakes in a student's or a colleague's own functions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vaekit.cli.options import JsonFlag
from vaekit.cli.printing import print_json

__all__ = ["Check"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """Check the functions of a variational autoencoder in a .py file or notebook, and name the mistakes.

    Ends with status 0 where all is well, 1 where a mistake was found. The file runs in a process of its own,
    with limits on time and memory, and without files and sockets: a seat belt for homework, not a sandbox.
    """

    file: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE", help="A .py file or an .ipynb.")
    ]
    map: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="ROLE=NAME ...", help="What the file calls things, as in sample_z=my_sampler."),
    ] = ()
    time_limit: Annotated[float, tyro.conf.arg(help="Seconds for the file, and again for each function.")] = (
        20.0
    )
    memory_limit: Annotated[float, tyro.conf.arg(help="Gigabytes.")] = 4.0
    json: JsonFlag = False

    def run(self) -> int:
        """Check and print."""
        from vaekit.classroom import check_file, render
        from vaekit.language.grammar import read_pairs

        mapping = read_pairs(self.map, "--map", example="ROLE=NAME, as in sample_z=my_sampler")
        report = check_file(
            self.file,
            mapping,
            time_limit=self.time_limit,
            memory_limit=int(self.memory_limit * 2**30),
        )
        if self.json:
            print_json(report.to_dict())
        else:
            print(render(report))
        return 0 if report.ok else 1
