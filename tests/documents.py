"""Small documents of every format, with what makes parsers stumble."""

import json
from pathlib import Path

MARKDOWN = """---
title: Front matter
---
# Bread

Flour, water, salt. Let it rise — überall — for an hour. 🍞 Then bake it.

## Crust

Steam makes the crust thin. A dry oven makes it thick.

```python
def bake(minutes):
    return minutes * 2
```
"""
HTML = """<html><head><title>Soup</title><style>p {}</style></head>
<body>
<h1>Lentils</h1>
<p>Simmer &amp; stir the lentils.</p>

<p>Serve with<br>lemon &eacute;clair.</p>
<script>ignored()</script>
</body></html>
"""
PYTHON = '''"""Count things."""


def count(items):
    """Return how many items there are."""
    return len(items)


class Counter:
    def __init__(self):
        self.number = 0
'''
CSV = 'name,colour\napple,red\n"banana, ripe",yellow\n\ncherry,"dark\nred"\n'
FILES = {
    "bread.md": MARKDOWN,
    "plain.txt": "First paragraph here.\n\nSecond paragraph there. " + "It goes on and on. " * 40,
    "soup.html": HTML,
    "count.py": PYTHON,
    "fruit.csv": CSV,
    "log.jsonl": '{"event": "start", "n": 1}\n\n{"event": "stop", "who": "Zoë"}\n',
    "data.json": json.dumps([{"k": "first"}, {"k": "second", "deep": {"er": [1, 2]}}], indent=1),
    "deep/er/notes.md": "# Deep\n\nA note in a folder of a folder.\n",
    "Ümläut 漢.txt": "A name in many languages.",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder
