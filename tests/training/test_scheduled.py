"""Parts of the model follow their schedules as the objective does."""

import torch
from torch import nn

from vaekit.language.schedules import Annealed, Schedule
from vaekit.objectives import Elbo
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae
from vaekit.training import TrainingSettings, train


class Warm(Annealed, nn.Module):
    """A network with a scalar that is scheduled, and seen at every call."""

    temperature: float

    def __init__(self, network: nn.Module, temperature: float | Schedule) -> None:
        nn.Module.__init__(self)
        Annealed.__init__(self, temperature=temperature)
        self.network = network
        self.seen: list[float] = []

    def forward(self, x):
        if self.training:
            self.seen.append(self.temperature)
        return self.network(x)


def test_the_loop_tells_a_part_of_the_model_how_many_epochs_are_done():
    with seeded(0):
        model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)
        x = torch.rand(8, 3)
    for temperature, expected in (
        (Schedule("linear", 1.0, 0.0, 2.0), [1.0, 0.75, 0.5, 0.25]),
        (0.3, [0.3] * 4),
    ):
        warm = Warm(nn.Linear(3, 4), temperature)
        model.parts["encoder"] = warm
        train(model, Elbo(), x, settings=TrainingSettings(epochs=2, batch_size=4), seed=0)
        assert warm.seen == expected
