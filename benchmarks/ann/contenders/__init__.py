"""One small adapter for each index or database that is measured; contenders.toml lists them."""
