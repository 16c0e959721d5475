"""Measurements of `rust_ai_core` beside its peers: `python -m benchmarks`, see README.md."""
