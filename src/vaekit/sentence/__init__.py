"""Sentences of parts: the registry, what fits with what, building a model, and the names of the literature."""

from vaekit.sentence.registry import PARTS, Room
from vaekit.sentence.sentence import Sentence, Spec, build_vae, parse

__all__ = ["PARTS", "Room", "Sentence", "Spec", "build_vae", "parse"]
