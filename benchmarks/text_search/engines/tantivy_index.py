"""tantivy: an index with the texts stored in it; a search reads the documents that it finds."""

from collections.abc import Sequence
from typing import Any

from benchmarks.text_search.engines.engine import Engine, bytes_of


class TantivyIndex(Engine):
    """Its English stemmer, counts without places, one thread that writes."""

    _index: Any
    _searcher: Any

    def index(self, texts: Sequence[str]) -> None:
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_integer_field("number", stored=True)
        schema.add_text_field("text", stored=True, tokenizer_name="en_stem", index_option="freq")
        self._index = tantivy.Index(schema.build(), path=str(self.folder))
        writer = self._index.writer(heap_size=256_000_000, num_threads=1)
        for number, text in enumerate(texts):
            writer.add_document(tantivy.Document(number=number, text=text))
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        self._searcher = self._index.searcher()

    def search(self, query: str, limit: int) -> Sequence[int]:
        hits = self._searcher.search(self._index.parse_query(query, ["text"]), limit).hits
        documents = [self._searcher.doc(address).to_dict() for _, address in hits]
        return [document["number"][0] for document in documents]

    def index_bytes(self) -> int:
        return bytes_of([path for path in self.folder.iterdir() if path.suffix != ".store"])
