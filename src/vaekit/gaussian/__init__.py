"""Gaussians and the divergences between them, in nats. Stands alone: torch and NumPy, nothing of vaekit."""
