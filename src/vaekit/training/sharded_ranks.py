"""Several processes that hold a share of the model each."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch.distributed as dist
from torch import Tensor

from vaekit.training.averaging import WeightAverage
from vaekit.training.clipping import global_norm
from vaekit.training.lost import others_may_be_lost
from vaekit.training.ranks import Ranks
from vaekit.training.shards import is_sharded, local_part, shard, whole
from vaekit.training.state import Players
from vaekit.training.world import BuildOptimizer
from vaekit.vae import VAE

__all__ = ["ShardedRanks"]


class ShardedRanks(Ranks):
    """Ranks among which the networks are spread; see :mod:`vaekit.training.shards`."""

    is_sharded = True

    def spread(self, players: Players, build: BuildOptimizer) -> Players:
        """Give the players as this rank trains them, with its shards of the networks, before the first step."""
        model, average = shard(players.model, self._steps), players.average
        if average is not None:
            average = WeightAverage(model, average.decay, into=shard(average.model, self._steps))
        players.model.cpu()  # room on the device; it gets the weights at the end
        return super().spread(Players(model, build(model.parameters()), average, None), build)

    @contextmanager
    def _sharing(self, model: VAE) -> Iterator[None]:
        """Draw the whole batch's noise; weights come and gradients go in such a block."""
        with others_may_be_lost(self.rank, self.size, computing=True), super()._sharing(model):
            yield

    def norm(self, gradients: list[Tensor]) -> Tensor:
        """The norm of the gradient, of which this rank has its shards and all that is whole."""
        here = global_norm([gradient for gradient in gradients if not is_sharded(gradient)])
        shards = global_norm(
            [local_part(gradient) for gradient in gradients if is_sharded(gradient)]
        ).square()
        with self._others_may_be_lost():
            dist.all_reduce(shards, group=self._steps)
        return (here.square() + shards).sqrt()

    def whole(self, tensors: Mapping[str, Tensor], *, everywhere: bool = False) -> dict[str, Tensor]:
        """Put tensors together in the host's memory, one after the other: in rank 0, or in every rank."""
        found: dict[str, Tensor] = {}
        with self._others_may_be_lost():
            for name, value in tensors.items():
                if not is_sharded(value):
                    found[name] = value
                    continue
                together = whole(value)
                if everywhere or self.is_writer:
                    found[name] = together.cpu()
        return found
