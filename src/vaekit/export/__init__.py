"""Models for elsewhere: encoder, decoder, reconstruction and score as ONNX or as torch programs, scaling inside."""

from vaekit.export.exporting import Exported, export_model

__all__ = ["Exported", "export_model"]
