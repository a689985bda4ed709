"""What a fitted estimator whose latents are codes does with them as whole numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from vaekit.distributions import CodeSpace
from vaekit.errors import DataError, UsageError
from vaekit.estimator.rows import Fitted, Given
from vaekit.sentence.registry import PARTS, space_of

__all__ = ["CodeVerbs"]


class CodeVerbs(Fitted):
    """What needs a posterior over a finite set of codes."""

    def transform_to_codes(self, X: Any, *, conditions: Any = None) -> npt.NDArray[np.int64]:
        """Encode to codes: the most probable of each position, from 0, ``(n, positions)``; level after level.

        Conditions as for :meth:`transform`.

        Raises
        ------
        UsageError
            If the model's latents are no codes.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vaekit import VariationalAutoencoder
        >>> x = load_iris().data
        >>> vae = VariationalAutoencoder(3, posterior="quantized:codes=8", epochs=2, random_state=0).fit(x)
        >>> codes = vae.transform_to_codes(x)
        >>> codes.shape, codes.dtype, bool((codes < 8).all())
        ((150, 3), dtype('int64'), True)
        """
        self.code_space()
        return self._map(self._rows(X, conditions), lambda x, c: self.model_.encode(x, c).codes)  # type: ignore[attr-defined, return-value]

    def inverse_transform_codes(self, codes: Any, *, given: Given = None) -> npt.NDArray[np.float64]:
        r"""Decode codes ``(n, positions)``: the mean of :math:`p(x \mid z)`, in the units of the data.

        ``given`` says under which condition, as for :meth:`sample`.

        Raises
        ------
        DataError
            For another number of positions, or what is no code.
        UsageError
            If the model's latents are no codes.
        """
        space = self.code_space()
        read = np.asarray(codes)
        if read.ndim != 2 or read.shape[1] != space.positions:
            raise DataError(
                f"codes have shape {read.shape}, but this model decodes ('n', {space.positions}); give one row per "
                "latent point"
            )
        if not (np.isfinite(read) & (read >= 0) & (read < space.codes) & (read == np.floor(read))).all():
            raise DataError(f"the codes hold something else than whole numbers from 0 to {space.codes - 1}")
        indices = torch.from_numpy(read.astype(np.int64)).to(self._torch_device())
        return self.inverse_transform(space.embed(indices).detach().cpu().numpy(), given=given)  # type: ignore[attr-defined]

    def code_space(self) -> CodeSpace:
        """How codes are written as latents: how many positions there are, and how many codes for each.

        Raises
        ------
        UsageError
            If the model's latents are no codes.
        """
        check_is_fitted(self, "model_")
        posterior = self.sentence_.posterior
        codebook = self.model_.posterior_part.codebook
        if codebook is None:
            fitting = ", ".join(
                kind for kind, part in PARTS["posterior"].items() if space_of(part) == "codes"
            )
            raise UsageError(
                f"the latents of posterior {posterior.kind} are no codes, but numbers; models with codes have one of: "
                f"{fitting}"
            )
        return codebook
