"""The portable artifact: a folder ``NAME.vae/`` with weights and description, no pickle, no code.

* ``model.safetensors``: the weights.
* ``model.json``: format version, sentence of parts, schema of the data, training settings, versions, seed,
  hash of the data, hash of the weights; and what must be imported for parts that are not vaekit's own.
* ``metrics.jsonl``: one line an epoch.
* ``report.html``: for people; never read back.

The folder is written under a temporary name, synced, and renamed: it is there whole or not at all. Loading
runs no code from it, follows no link out of it, and believes nothing it has not checked.
"""

from vaekit.artifact.contents import FORMAT_VERSION, Artifact, build_model
from vaekit.artifact.loading import read_artifact
from vaekit.artifact.saving import check_destination, write_artifact

__all__ = [
    "FORMAT_VERSION",
    "Artifact",
    "build_model",
    "check_destination",
    "read_artifact",
    "write_artifact",
]
