r"""A fitted model as a torch module of rows in the units of the data: the scaling is part of it.

A model is trained on scaled rows :math:`x = (r - a) / b`, where the offset :math:`a` and the scale :math:`b` of each
column were learned from the training rows :math:`r`, without the columns that were constant.
"""

from math import prod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.data import Schema
from vaekit.vae import VAE, code_of

__all__ = ["ModelOfRows"]


class ModelOfRows(nn.Module):
    r"""A model that takes and returns rows in the units of the data, differentiable and with the scaling inside.

    For a training loop, a gradient or an export of one's own; it shares its weights with the estimator's ``model_``,
    which takes scaled rows. Where ``VariationalAutoencoder.transform`` and its like check the data, this computes:
    text must have become the codes of its categories, and values are not looked at.

    Parameters
    ----------
    model
        The fitted model, whose units are those of the schema's scaling.
    schema
        What the model expects of data.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from vaekit import VariationalAutoencoder
    >>> rows = load_iris().data
    >>> vae = VariationalAutoencoder(latent=2, epochs=2, random_state=0).fit(rows)
    >>> module = vae.to_module()
    >>> r = torch.from_numpy(rows).requires_grad_()
    >>> module(r).shape, module.encode(r).mean.shape
    (torch.Size([150, 4]), torch.Size([150, 2]))
    >>> module(r).sum().backward()
    >>> r.grad.shape
    torch.Size([150, 4])
    """

    offset: Tensor
    scale: Tensor
    constants: Tensor
    kept: Tensor

    def __init__(self, model: VAE, schema: Schema) -> None:
        super().__init__()
        self.model = model
        self.event_shape, self.model_event_shape = schema.event_shape, schema.model_event_shape
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        kept, constants = _parts_seen(schema)
        places = np.flatnonzero(schema.kept) if schema.kind == "table" else np.arange(1)
        numbers = {
            "offset": np.array(schema.offset, np.float64)[places],
            "scale": np.array(schema.scale, np.float64)[places],
            "constants": constants,
            "kept": np.flatnonzero(kept),
        }
        for name, value in numbers.items():
            self.register_buffer(name, torch.from_numpy(value).to(device))

    def to_model(self, rows: Tensor) -> Tensor:
        """Return rows ``(n, *event)`` in the model's units, float32; computed in float64."""
        if len(self.kept) < len(self.constants):
            rows = rows.flatten(1).index_select(1, self.kept).unflatten(1, self.model_event_shape)
        return ((rows.double() - self.offset) / self.scale).float()

    def to_rows(self, x: Tensor) -> Tensor:
        """Return values in the model's units ``(n, *model_event)`` in the units of the data, float64.

        What was constant gets its value back, and a column without any value is missing; categories are the numbers of
        their codes, not rounded.
        """
        return self._whole(x.double() * self.scale + self.offset, self.constants)

    def spread_to_rows(self, deviation: Tensor) -> Tensor:
        """Return standard deviations ``(n, *model_event)`` in the units of the data; 0 of what was constant."""
        return self._whole(deviation.double() * self.scale, torch.zeros_like(self.constants))

    def _whole(self, values: Tensor, otherwise: Tensor) -> Tensor:
        """Return values ``(n, *model_event)`` with what the model does not see beside them, ``(n, *event)``."""
        if len(self.kept) == len(self.constants):
            return values
        rows = otherwise.expand(values.shape[0], -1).index_copy(1, self.kept, values.flatten(1))
        return rows.unflatten(1, self.event_shape)

    def encode(self, rows: Tensor, c: Tensor | None = None) -> Distribution:
        r"""Return :math:`q(z \mid x)` of rows ``(n, *event)``; ``c`` is the encoded condition, ``(n, d)``."""
        return self.model.encode(self.to_model(rows), c)

    def decode(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        r"""Return the mean of :math:`p(x \mid z)` for latents ``(n, *latent)``, ``(n, *event)``."""
        return self.to_rows(self.model.decode(z, c).mean)

    def log_joint(self, rows: Tensor, z: Tensor, c: Tensor | None = None) -> Tensor:
        r"""Return :math:`\log p(x \mid z) + \log p(z)`, ``(n,)`` in nats and the units of the data."""
        return self.model.log_joint(self.to_model(rows), z, c)

    def forward(self, rows: Tensor, c: Tensor | None = None) -> Tensor:
        """Return the reconstruction of rows ``(n, *event)``: the decoded mean of their posterior."""
        return self.decode(code_of(self.encode(rows, c)), c)


def _parts_seen(schema: Schema) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Return which values of an example the model sees, and what the others are, each ``(prod(event),)``."""
    size, constant = prod(schema.event_shape), schema.constant
    if schema.kind == "table":
        values = [np.nan if column.missing_rate == 1 else column.minimum for column in schema.columns]
        return schema.kept, np.array(values, np.float64)
    if constant is None:
        return np.ones(size, dtype=bool), np.zeros(size)
    copies = size // len(constant.values)
    values = [0.0 if value is None else value for value in constant.values]
    return np.repeat(constant.kept, copies), np.repeat(np.array(values, np.float64), copies)
