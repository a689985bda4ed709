r"""A fitted model as a torch module of rows in the units of the data: the scaling is part of it.

A model is trained on scaled rows :math:`x = (r - a) / b`, where the offset :math:`a` and the scale :math:`b` of each
column were learned from the training rows :math:`r`, without the columns that were constant.
"""

import numpy as np
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
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        kept = np.flatnonzero(schema.kept) if schema.kind == "table" else np.arange(1)
        constants = [column.minimum for column in schema.columns] if schema.kind == "table" else []
        numbers = {
            "offset": np.array(schema.offset, np.float64)[kept],
            "scale": np.array(schema.scale, np.float64)[kept],
            "constants": np.array(constants, np.float64),
            "kept": kept,
        }
        for name, value in numbers.items():
            self.register_buffer(name, torch.from_numpy(value).to(device))

    def to_model(self, rows: Tensor) -> Tensor:
        """Return rows ``(n, *event)`` in the model's units, float32; computed in float64."""
        if len(self.constants):
            rows = rows[..., self.kept]
        return ((rows.double() - self.offset) / self.scale).float()

    def to_rows(self, x: Tensor) -> Tensor:
        """Return values in the model's units ``(n, *model_event)`` in the units of the data, float64.

        Columns that were constant get their value back; categories are the numbers of their codes, not rounded.
        """
        values = x.double() * self.scale + self.offset
        if not len(self.constants):
            return values
        rows = self.constants.expand(*values.shape[:-1], -1).clone()
        rows[..., self.kept] = values
        return rows

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
