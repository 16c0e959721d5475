"""SQLite's FTS5: an index of a table's texts; a search gives the texts too."""

import sqlite3
from collections.abc import Sequence

from benchmarks.text_search.engines.engine import Engine


class Fts5Table(Engine):
    """Its Porter stemmer over its Unicode tokenizer."""

    _connection: sqlite3.Connection
    _bytes_of_texts: int

    def index(self, texts: Sequence[str]) -> None:
        self._connection = sqlite3.connect(self.folder / "texts.db")
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("create table texts (id integer primary key, text text)")
        with self._connection:
            self._connection.executemany("insert into texts values (?, ?)", enumerate(texts))
        self._bytes_of_texts = self._bytes()
        self._connection.execute(
            "create virtual table words using fts5"
            "(text, content='texts', content_rowid='id', tokenize='porter unicode61')"
        )
        with self._connection:
            self._connection.execute("insert into words(words) values ('rebuild')")
            self._connection.execute("insert into words(words) values ('optimize')")

    def search(self, query: str, limit: int) -> Sequence[int]:
        any_of = " OR ".join(f'"{word}"' for word in query.split())
        found = self._connection.execute(
            "select texts.id, texts.text from words join texts on texts.id = words.rowid "
            "where words match ? order by bm25(words) limit ?",
            (any_of, limit),
        )
        return [row[0] for row in found]

    def index_bytes(self) -> int:
        return self._bytes() - self._bytes_of_texts

    def close(self) -> None:
        self._connection.close()

    def _bytes(self) -> int:
        ((count, size),) = self._connection.execute(
            "select page_count, page_size from pragma_page_count, pragma_page_size"
        )
        return int(count) * int(size)
