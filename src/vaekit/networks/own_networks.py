"""Networks of a user's own, in the place of a recipe by name.

The sentence of such a model says ``own:encoder=NAME,decoder=NAME``, the names of the classes: their code is in no
artifact, and is given again when the model is loaded.
"""

import copy
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, Protocol, runtime_checkable

from torch import nn

from vaekit.contracts import Network
from vaekit.errors import UsageError

__all__ = ["NetworkRecipe", "OwnNetwork", "OwnNetworkName", "own_network", "sentence_of"]

Factory = Callable[[Sequence[int], Sequence[int]], nn.Module]


@runtime_checkable
class NetworkRecipe(Protocol):
    """What stands behind a network's name: a pair of methods that build modules of given shapes."""

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the encoder."""
        ...

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the decoder."""
        ...


class OwnNetwork(Network):
    """A recipe of a user's encoder and decoder.

    Parameters
    ----------
    encoder, decoder
        Each a module, which is copied, never trained itself; or a function or class that is called with the shapes
        of an input and an output and gives a module with fresh weights.

    Raises
    ------
    UsageError
        If one is neither.

    Examples
    --------
    >>> network = OwnNetwork(nn.Linear(3, 4), lambda input_shape, output_shape: nn.Linear(*input_shape, *output_shape))
    >>> network.decoder((2,), (3,))
    Linear(in_features=2, out_features=3, bias=True)
    >>> network.names
    {'encoder': 'Linear', 'decoder': '<lambda>'}
    """

    def __init__(self, encoder: nn.Module | Factory, decoder: nn.Module | Factory) -> None:
        for room, given in (("encoder", encoder), ("decoder", decoder)):
            if not callable(given):
                raise UsageError(
                    f"{room}={given!r}: give an nn.Module, or a function of an input's and an output's shape that "
                    "makes one"
                )
        self._encoder, self._decoder = encoder, decoder

    @property
    def names(self) -> dict[str, str]:
        """What the sentence calls the two."""
        return {"encoder": _name(self._encoder), "decoder": _name(self._decoder)}

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Make the encoder."""
        return _make(self._encoder, input_shape, output_shape)

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Make the decoder."""
        return _make(self._decoder, input_shape, output_shape)


class OwnNetworkName:
    """``own``: what the sentence keeps of networks that are a user's own.

    Parameters
    ----------
    encoder, decoder
        Names of their classes.

    Raises
    ------
    UsageError
        When it is asked for a network, which it does not have.
    """

    def __init__(self, *, encoder: str = "unknown", decoder: str = "unknown") -> None:
        self.names = {"encoder": encoder, "decoder": decoder}

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Refuse."""
        raise UsageError(self.what_is_missing)

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Refuse."""
        raise UsageError(self.what_is_missing)

    @property
    def what_is_missing(self) -> str:
        """The message, with the names and what to do."""
        encoder, decoder = self.names["encoder"], self.names["decoder"]
        return (
            f"the model has an encoder ({encoder}) and a decoder ({decoder}) of its maker's own, whose code no "
            "artifact holds; in Python, give both: vaekit.load(path, encoder=..., decoder=...), or the network object "
            "that was given to the estimator: vaekit.load(path, network=...)"
        )


def own_network(network: Any, encoder: Any = None, decoder: Any = None) -> NetworkRecipe | None:
    """Return the recipe of a user's own networks; None where ``network`` is a sentence (or None) and there is no other.

    Raises
    ------
    UsageError
        If an encoder is given without a decoder, or a network that makes no networks.
    """
    if encoder is not None or decoder is not None:
        if encoder is None or decoder is None:
            raise UsageError("an encoder and a decoder of one's own come together; give both")
        return OwnNetwork(encoder, decoder)
    if network is None or isinstance(network, str):
        return None
    if not isinstance(network, NetworkRecipe):
        raise UsageError(
            f"network is a {type(network).__name__}: give a string such as 'mlp', or an object with methods "
            "encoder(input_shape, output_shape) and decoder(input_shape, output_shape); two modules are given as "
            "encoder=... and decoder=..."
        )
    return network


def sentence_of(network: NetworkRecipe) -> str:
    """Write what a sentence says of a user's own networks.

    Examples
    --------
    >>> sentence_of(OwnNetwork(nn.Linear(3, 4), nn.Linear(2, 3)))
    'own:encoder=Linear,decoder=Linear'
    """
    name = _name(network)
    names = network.names if isinstance(network, OwnNetwork) else {"encoder": name, "decoder": name}
    return f"own:encoder={names['encoder']},decoder={names['decoder']}"


def _name(given: Any) -> str:
    """The name of a class or function, as far as a sentence can hold it."""
    found = given.__name__ if isinstance(given, type | FunctionType) else type(given).__name__
    return found if not set(found) & set(",=:") else "unknown"


def _make(given: Any, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    made = given(tuple(input_shape), tuple(output_shape))
    if not isinstance(made, nn.Module):
        raise UsageError(
            f"{_name(given)}{tuple(input_shape), tuple(output_shape)} gave a {type(made).__name__}; expected an "
            "nn.Module"
        )
    return made
