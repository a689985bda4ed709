"""The workloads that every loop trains; needs nothing but the standard library, so that peers can read it too."""

from dataclasses import dataclass

__all__ = ["WORKLOADS", "Workload"]


@dataclass(frozen=True)
class Workload:
    """A network, a batch, an objective, and how much of the data makes one timed epoch.

    ``hidden`` are the units of the fully connected encoder (mirrored in the decoder); empty: convolutions of
    ``channels`` with stride 2.
    """

    hidden: tuple[int, ...]
    activation: str
    latent: int
    batch: int
    samples: int = 1
    channels: tuple[int, ...] = ()
    images: int = 60_000

    @property
    def steps(self) -> int:
        """Steps of one timed epoch."""
        return -(-self.images // self.batch)


WORKLOADS = {
    "M1": Workload((400,), "relu", 20, 128),
    "M2, batch 20": Workload((200, 200), "tanh", 50, 20, images=20_000),
    "M2, batch 100": Workload((200, 200), "tanh", 50, 100),
    "M2, batch 20, 50 samples": Workload((200, 200), "tanh", 50, 20, samples=50, images=4_000),
    "M2, batch 100, 50 samples": Workload((200, 200), "tanh", 50, 100, samples=50, images=5_000),
    "M3": Workload((), "relu", 16, 128, channels=(32, 64), images=6_400),
}
