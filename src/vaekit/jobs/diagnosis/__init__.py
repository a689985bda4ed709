"""What is wrong with a model: of its columns, its rows, its latents and its inference."""
