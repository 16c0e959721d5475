#!/bin/sh
# Holds the tokenizer against the `tokenizers` crate on texts of your own:
#
#     scripts/check-tokenizer.sh tokenizer.json texts.txt     (a text a line)
#
# docs/tokenizer.md says over which texts this was run.
set -eu
[ $# -eq 2 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
RAC_TOKENIZER=$(realpath "$1") RAC_TEXTS=$(realpath "$2")
export RAC_TOKENIZER RAC_TEXTS
cd "$(dirname "$0")/.."
exec cargo test --locked -p inference --profile bench --test tokenizer -- \
    --ignored --nocapture texts_of_a_file
