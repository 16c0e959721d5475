"""Approximate search beside its peers; each module with a table in definitions.toml is a subject."""
