"""Sentences of parts: the registry, what fits with what, building a model, and the names of the literature."""

from vaekit.sentence.building import MissingCells, build_vae
from vaekit.sentence.built_in import BUILT_IN
from vaekit.sentence.registry import PARTS, Room, imports_of, register
from vaekit.sentence.specs import Sentence, Spec, parse

__all__ = [
    "BUILT_IN",
    "PARTS",
    "MissingCells",
    "Room",
    "Sentence",
    "Spec",
    "build_vae",
    "imports_of",
    "parse",
    "register",
]
