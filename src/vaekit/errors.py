"""The errors that vaekit raises, each with the exit status of the command line.

Every message says what was given, what was expected and what to try.
"""

__all__ = [
    "ArtifactError",
    "CheckpointError",
    "CodeCollapseWarning",
    "DataError",
    "DataWarning",
    "MissingExtraError",
    "MissingLabelError",
    "PartWarning",
    "ProcessLostError",
    "StreamWarning",
    "TrainingDivergedError",
    "TrainingWarning",
    "UsageError",
    "VaekitError",
]


class VaekitError(Exception):
    """Base of all errors of vaekit; ``exit_code`` is the status the command line ends with."""

    exit_code = 1


class UsageError(VaekitError, ValueError):
    """An option, name or sentence of parts that cannot be understood or built."""

    exit_code = 2


class DataError(VaekitError, ValueError):
    """Data that cannot be read, or that does not fit what the model was told to expect."""

    exit_code = 3


class MissingLabelError(DataError):
    """A label was asked for that the source does not have."""


class ArtifactError(DataError):
    """A ``NAME.vae`` folder that is missing, damaged or from a newer version."""


class CheckpointError(DataError):
    """Checkpoints of another run, or none that can be read."""


class PartWarning(UserWarning):
    """An installed package offers a part that cannot be used."""


class TrainingWarning(UserWarning):
    """Training goes on, though not as it was meant: a loss that is not finite, a full disk, nothing to resume."""


class DataWarning(UserWarning):
    """Data are not read as they stand, or differ from those of the fit in a column that plays no part in the model."""


class StreamWarning(UserWarning):
    """Rows are being counted for long: there may be no end of them."""


class CodeCollapseWarning(UserWarning):
    """A model uses hardly any of its codes; the message says the perplexity."""


class TrainingDivergedError(VaekitError, ArithmeticError):
    """Training met a loss that is not finite."""

    exit_code = 4


class ProcessLostError(VaekitError, RuntimeError):
    """One of the processes that train together is gone, or does not answer; the others end too."""


class MissingExtraError(VaekitError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""

    @classmethod
    def for_extra(cls, what: str, extra: str) -> "MissingExtraError":
        """Say what needs which extra.

        >>> str(MissingExtraError.for_extra("reading parquet", "parquet"))
        "reading parquet needs an optional dependency: pip install 'vaekit[parquet]'"
        """
        return cls(f"{what} needs an optional dependency: pip install 'vaekit[{extra}]'")
