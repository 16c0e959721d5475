"""Embedding texts beside other encoders; definitions.toml names the subjects."""
