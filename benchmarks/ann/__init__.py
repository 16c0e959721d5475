"""Approximate search beside its peers; each table of definitions.toml has a module: a subject."""
