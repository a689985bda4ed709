"""``vaekit info NAME.vae``: what an artifact is."""

from dataclasses import dataclass
from typing import Any

from vaekit.cli.options import ArtifactArgument, JsonFlag
from vaekit.cli.printing import column_lines, print_json

__all__ = ["Info"]


@dataclass(frozen=True, kw_only=True)
class Info:
    """Say what an artifact is: its sentence of parts, its data, how it was trained; or the job that it is fitted to."""

    artifact: ArtifactArgument
    json: JsonFlag = False

    def run(self) -> int:
        """Describe and print."""
        from vaekit.artifact import job_of, read_artifact
        from vaekit.data.missing_values import rates_in_words

        if job_of(self.artifact) is not None:
            return self._of_job()
        artifact = read_artifact(self.artifact)
        parameters = sum(parameter.numel() for parameter in artifact.model.parameters())
        history = artifact.history
        document: dict[str, Any] = {
            "artifact": str(self.artifact),
            "format_version": artifact.format_version,
            "sentence": artifact.sentence.to_json(),
            "latent": artifact.latent,
            "parameters": parameters,
            "schema": artifact.schema.to_json(),
            "data": artifact.data,
            "seed": artifact.seed,
            "epochs": len(history.epochs),
            "best_epoch": history.best_epoch,
            "stopped": history.stopped,
            "versions": artifact.versions,
        }
        if self.json:
            print_json(document)
            return 0
        for room, spec in artifact.sentence.specs.items():
            print(f"{room:<12} {spec.in_short}")
            if table := column_lines(spec, artifact.schema):
                print("\n".join(table))
        print(f"{'latent':<12} {artifact.latent} dimensions; {parameters:,} parameters in all")
        print(f"{'data':<12} {artifact.schema.describe()}, from {artifact.data.get('source', 'Python')}")
        if rates := artifact.schema.missing_rates:
            print(f"{'missing':<12} {rates_in_words(rates)} of the training rows")
        for condition in () if artifact.schema.conditions is None else artifact.schema.conditions.conditions:
            print(f"{'condition':<12} {condition.describe()}")
        print(
            f"{'training':<12} {len(history.epochs)} epochs, best {history.best_epoch}; seed {artifact.seed}"
        )
        print(f"{'written by':<12} {', '.join(f'{k} {v}' for k, v in artifact.versions.items())}")
        return 0

    def _of_job(self) -> int:
        """Describe a fitted job and print."""
        from vaekit.artifact import read_job
        from vaekit.jobs.saved_state import unpack

        fitted = read_job(self.artifact)
        parameters = unpack(fitted.state["parameters"], Any, "parameters", {})
        document = {
            "artifact": str(self.artifact),
            "format_version": fitted.format_version,
            "job": fitted.job,
            "parameters": parameters,
            "data": fitted.summary,
            "versions": fitted.versions,
        }
        if self.json:
            print_json(document)
            return 0
        data = fitted.summary
        print(f"{fitted.job:<17} serves {fitted.serves}")
        print(f"{'fitted to':<17} {data['rows']:,} rows of {data['columns']} columns, from {data['source']}")
        print(f"{'parameters':<17} {', '.join(f'{k}={v}' for k, v in parameters.items())}")
        print(f"{'written by':<17} {', '.join(f'{k} {v}' for k, v in fitted.versions.items())}")
        return 0
