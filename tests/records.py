"""What tests know of a record once it came back."""

from typing import Any

import rust_ai_core as rac

Key = int | str
Content = tuple[list[float], str | None, dict[str, Any] | None]


def content(record: rac.Record | None) -> Content | None:
    return record and (record.vector.tolist(), record.text, record.metadata)
