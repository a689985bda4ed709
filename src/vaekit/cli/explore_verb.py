"""``vaekit explore NAME.vae [DATA]``: move in the latent space, on a page of this machine or in one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vaekit.cli.options import ArtifactArgument, DataDirOption, Device, JsonFlag, LabelOption
from vaekit.cli.printing import print_json, say

__all__ = ["Explore"]


@dataclass(frozen=True, kw_only=True)
class Explore:
    """Explore the latent space on a page that decodes what is under the pointer; Ctrl-C ends it."""

    artifact: ArtifactArgument
    data: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="DATA",
            help="Rows to show; by default what it was fitted on, where that is at hand; else draws from the prior.",
        ),
    ] = None
    output: Annotated[
        Path | None,
        tyro.conf.arg(
            aliases=["-o"],
            metavar="OUT.html",
            help="Write one self-contained page instead, for somebody without Python: decoded on a grid.",
        ),
    ] = None
    port: Annotated[int, tyro.conf.arg(help="The port on 127.0.0.1; 0: any that is free.")] = 0
    no_browser: Annotated[bool, tyro.conf.arg(help="Print the address, and open no browser.")] = False
    device: Device = "auto"
    label: LabelOption = None
    data_dir: DataDirOption = None
    json: JsonFlag = False

    def run(self) -> int:
        """Open the model and its rows, and serve or write the page."""
        from vaekit.application import explore_artifact, write_exploration
        from vaekit.explorer import serve

        if self.output is not None:
            written = write_exploration(
                self.artifact,
                self.output,
                data=self.data,
                device=self.device,
                label=self.label,
                data_dir=self.data_dir,
            )
            if written.without_data is not None:
                say(f"draws from the prior, for want of data: {written.without_data}")
            if self.json:
                print_json({"page": str(written.path)})
            else:
                print(written.path)
            return 0
        opened = explore_artifact(
            self.artifact, data=self.data, device=self.device, label=self.label, data_dir=self.data_dir
        )
        if opened.without_data is not None:
            say(f"draws from the prior, for want of data: {opened.without_data}")
        serve(opened.exploration, port=self.port, browser=not self.no_browser, announce=self._announce)
        return 0

    def _announce(self, address: str) -> None:
        if self.json:
            print_json({"address": address})
        else:
            print(address, flush=True)
        say("Ctrl-C ends it")
