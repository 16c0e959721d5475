"""Writing, opening and filtering beside other databases; definitions.toml names the subjects."""
