"""`python -m rust_ai_core` is `rac`."""

from rust_ai_core.cli import main

main()
