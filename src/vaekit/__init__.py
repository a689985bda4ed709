"""vaekit: variational autoencoders that are correct the first time, and divergences that are never wrong."""

__version__ = "0.1.0"
