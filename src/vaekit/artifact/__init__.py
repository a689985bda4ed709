"""The portable artifact: a folder ``NAME.vae/`` with weights and description, no pickle, no code.

* ``model.safetensors``: the weights.
* ``model.json``: format version, sentence of parts, schema of the data, training settings, versions, seed,
  hash of the data, hash of the weights; and what must be imported for parts that are not vaekit's own.
* ``metrics.jsonl``: one line an epoch.
* ``report.html``: for people; never read back.

A fitted job on tables, such as an outlier detector, has a folder with the first two of these files:
:mod:`vaekit.artifact.fitted_jobs`.

The folder is written under a temporary name, synced, and renamed: it is there whole or not at all. Loading
runs no code from it, follows no link out of it, and believes nothing it has not checked.
"""

from vaekit.artifact.contents import FORMAT_VERSION, Artifact, build_model
from vaekit.artifact.fitted_jobs import FittedJob, job_of, read_job, write_job
from vaekit.artifact.loading import read_artifact
from vaekit.artifact.saving import check_destination, write_artifact

__all__ = [
    "FORMAT_VERSION",
    "Artifact",
    "FittedJob",
    "build_model",
    "check_destination",
    "job_of",
    "read_artifact",
    "read_job",
    "write_artifact",
    "write_job",
]
