r"""Networks: :math:`x \to` features and :math:`z \to` features. Plain ``nn.Module`` objects.

A *network* is a pair of recipes that mirror each other: ``encoder(input_shape, output_shape)`` and
``decoder(input_shape, output_shape)`` each build a new module. Its keyword-only options are those after the
colon in a spec such as ``mlp:hidden=200x200,activation=tanh``.
"""

from vaekit.networks.bounded import soft_bound
from vaekit.networks.convolutional import ConvolutionalNetwork
from vaekit.networks.masked import MaskedNetwork
from vaekit.networks.mlp import GatedNetwork, MlpNetwork
from vaekit.networks.network_inputs import (
    CenteredLevels,
    ConditionedInput,
    LeadingLatents,
    LogCounts,
    TransformedInput,
    conditioned_decoder,
    conditioned_encoder,
)
from vaekit.networks.own_networks import NetworkRecipe, OwnNetwork, OwnNetworkName
from vaekit.networks.residual import ResidualConvolutionalNetwork, ResidualNetwork

__all__ = [
    "CenteredLevels",
    "ConditionedInput",
    "ConvolutionalNetwork",
    "GatedNetwork",
    "LeadingLatents",
    "LogCounts",
    "MaskedNetwork",
    "MlpNetwork",
    "NetworkRecipe",
    "OwnNetwork",
    "OwnNetworkName",
    "ResidualConvolutionalNetwork",
    "ResidualNetwork",
    "TransformedInput",
    "conditioned_decoder",
    "conditioned_encoder",
    "soft_bound",
]
