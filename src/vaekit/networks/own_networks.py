"""Networks of the user's own, in place of a recipe by name.

The spec of such a model is ``own:encoder=NAME,decoder=NAME``, with the names of the classes. Their code is
not in the artifact, and has to be given again when the model is loaded.
"""

import copy
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Protocol, runtime_checkable

from torch import nn

from vaekit.contracts import Network, NetworkTraits
from vaekit.errors import UsageError

__all__ = ["NetworkRecipe", "OwnNetwork", "OwnNetworkName", "own_network", "sentence_of"]

Factory = Callable[[Sequence[int], Sequence[int]], nn.Module]


@runtime_checkable
class NetworkRecipe(Protocol):
    """A pair of methods that build an encoder and a decoder of given shapes: the least that a network must have."""

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the encoder."""
        ...

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the decoder."""
        ...


class OwnNetwork(Network):
    """A recipe made of the user's own encoder and decoder.

    Parameters
    ----------
    encoder, decoder
        Each is a module, which is copied and never trained itself, or a function or class that takes the
        shapes of an input and an output and returns a module with new weights.

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
        """The names of the two in a spec."""
        return {"encoder": _name(self._encoder), "decoder": _name(self._decoder)}

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the encoder."""
        return _make(self._encoder, input_shape, output_shape)

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Build the decoder."""
        return _make(self._decoder, input_shape, output_shape)


class OwnNetworkName:
    """``own``: the names of the user's own networks, as an artifact keeps them.

    Parameters
    ----------
    encoder, decoder
        The names of their classes.

    Raises
    ------
    UsageError
        When it is asked to build a network.
    """

    traits = NetworkTraits()

    def __init__(self, *, encoder: str = "unknown", decoder: str = "unknown") -> None:
        self.names = {"encoder": encoder, "decoder": decoder}

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Refuse to build a network whose code is not known."""
        raise UsageError(self.what_is_missing)

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Refuse to build a network whose code is not known."""
        raise UsageError(self.what_is_missing)

    @property
    def what_is_missing(self) -> str:
        """The message for networks whose code is not known."""
        encoder, decoder = self.names["encoder"], self.names["decoder"]
        return (
            f"the model has its own encoder ({encoder}) and decoder ({decoder}), whose code is not in the "
            "artifact; in Python, give both: vaekit.load(path, encoder=..., decoder=...), or the network object "
            "that was given to the estimator: vaekit.load(path, network=...)"
        )


def own_network(network: Any, encoder: Any = None, decoder: Any = None) -> NetworkRecipe | None:
    """Return the recipe of the user's own networks; None if ``network`` is a spec or None, and no modules are given.

    Raises
    ------
    UsageError
        If an encoder is given without a decoder, or ``network`` builds no networks.
    """
    if encoder is not None or decoder is not None:
        if encoder is None or decoder is None:
            raise UsageError("an encoder and a decoder are given together; give both")
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
    """Return the spec of the user's own networks.

    Examples
    --------
    >>> sentence_of(OwnNetwork(nn.Linear(3, 4), nn.Linear(2, 3)))
    'own:encoder=Linear,decoder=Linear'
    """
    name = _name(network)
    names = network.names if isinstance(network, OwnNetwork) else {"encoder": name, "decoder": name}
    return f"own:encoder={names['encoder']},decoder={names['decoder']}"


def _name(given: Any) -> str:
    """Return the name of a class or function, or ``unknown`` if a spec cannot contain it."""
    named = isinstance(given, type | FunctionType | BuiltinFunctionType | MethodType)
    found = given.__name__ if named else type(given).__name__
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
