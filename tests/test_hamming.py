"""Collections of packed bits, against counting bits with NumPy."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

import rust_ai_core as rac
from rust_ai_core import errors

BITS = 256
ROWS = 6000

Bytes = npt.NDArray[np.uint8]


def packed(count: int, seed: int) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (count, BITS // 8)).astype(np.uint8)


def distances(query: Bytes, rows: Bytes) -> npt.NDArray[np.int64]:
    differing = np.unpackbits(np.bitwise_xor(rows, query), axis=1)
    return np.asarray(differing.sum(axis=1, dtype=np.int64))


def nearest(query: Bytes, rows: Bytes, limit: int) -> tuple[list[int], list[int]]:
    """Equal distances are in the order of writing."""
    found = distances(query, rows)
    order = np.argsort(found, kind="stable")[:limit]
    return order.tolist(), found[order].tolist()


@pytest.fixture
def collection(tmp_path: Path) -> Any:
    with rac.open(tmp_path / "bits.rac") as db:
        yield db.collection("codes", dimension=BITS, metric="hamming")


def test_searches_count_over_all_records(collection: rac.Collection) -> None:
    rows, queries = packed(ROWS, 1), packed(30, 2)
    queries[0] = rows[17]
    halves = [{"half": i % 2} for i in range(ROWS)]
    assert collection.upsert(range(ROWS), rows, metadata=halves) == ROWS
    for optimized in (False, True):
        if optimized:
            collection.optimize()
            assert collection.stats()["indexed_records"] == 0
        ids, scores = collection.search_batch(queries, limit=5)
        for query, row_ids, row_scores in zip(queries, ids, scores, strict=True):
            assert (list(row_ids), row_scores.tolist()) == nearest(query, rows, 5)
            hits = collection.search(query, limit=5)
            assert [hit.id for hit in hits] == list(row_ids)
            assert [hit.score for hit in hits] == row_scores.tolist()
        assert collection.search(rows[17], limit=1)[0].score == 0
        odd = collection.search(queries[1], limit=4, where={"half": 1})
        expected, _ = nearest(queries[1], rows[1::2], 4)
        assert [hit.id for hit in odd] == [2 * row + 1 for row in expected]
        least = distances(queries[2], rows).min()
        within = collection.search(queries[2], limit=ROWS, within=int(least) + 3)
        assert len(within) == (distances(queries[2], rows) <= least + 3).sum()
        assert collection.recall(queries=queries, limit=10) == 1.0


def test_vectors_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = packed(50, 3)
    path = tmp_path / "bits.rac"
    with rac.open(path) as db:
        codes = db.collection("codes", dimension=BITS, dtype="bits")
        codes.upsert(range(50), rows)
        codes.delete([3])
        assert codes.metric == "hamming"
    with rac.open(path) as db:
        codes = db.collection("codes")
        assert (codes.dimension, codes.metric, codes.dtype) == (BITS, "hamming", "bits")
        record = codes.get([7])[0]
        assert record is not None
        assert record.vector.dtype == np.uint8
        assert record.vector.tolist() == rows[7].tolist()
        assert {record.id for record in codes} == set(range(50)) - {3}
        assert f"dimension={BITS}, metric='hamming', dtype='bits'" in repr(codes)
        # Lists of bytes, strided rows and single rows are packed bits too.
        codes.upsert([100], [rows[0].tolist()])
        codes.upsert([101, 102], np.asfortranarray(rows[:2]))
        codes.upsert([103], rows[1])
        assert codes.search(rows[0].tolist(), limit=3)[0].score == 0
        assert {hit.id for hit in codes.search(rows[1], limit=3)} == {1, 102, 103}
    assert rac.verify(path).ok


def test_bits_go_through_arrow_and_parquet(tmp_path: Path) -> None:
    rows = packed(40, 4)
    with rac.open(tmp_path / "bits.rac") as db:
        codes = db.collection("codes", dimension=BITS, metric="hamming")
        codes.upsert(range(40), rows)
        table = pa.table(codes.to_arrow())
        assert table.schema.field("vector").type == pa.list_(
            pa.field("item", pa.uint8(), False), 32
        )
        flat = table["vector"].combine_chunks().flatten().to_numpy()
        assert (flat.reshape(40, -1) == rows).all()
        assert codes.export(tmp_path / "codes.parquet") == 40
        other = db.collection("other", dimension=BITS, metric="hamming")
        assert other.import_(tmp_path / "codes.parquet") == 40
        assert other.search(rows[9], limit=1)[0].id == 9
        wrong = pa.table({"id": [1], "vector": [[0.5] * 32]})
        with pytest.raises(errors.ArgumentError, match="not a byte of packed bits"):
            other.upsert_table(wrong)


def test_what_does_not_fit_says_what_would(tmp_path: Path) -> None:
    with rac.open(tmp_path / "bits.rac") as db:
        with pytest.raises(errors.ArgumentError, match="a multiple of 8, not 100"):
            db.collection("c", dimension=100, metric="hamming")
        with pytest.raises(errors.ArgumentError, match='"hamming" goes with dtype "bits"'):
            db.collection("c", dimension=64, metric="hamming", dtype="float32")
        with pytest.raises(errors.ArgumentError, match='"hamming" goes with dtype "bits"'):
            db.collection("c", dimension=64, metric="cosine", dtype="bits")
        with pytest.raises(errors.ArgumentError, match="leave it out"):
            db.collection("c", dimension=64, metric="hamming", index=rac.Index())
        with pytest.raises(errors.ArgumentError, match="8 to 524288, not 524296"):
            db.collection("c", dimension=524_296, metric="hamming")
        assert db.collections() == []
        codes = db.collection("c", dimension=64, metric="hamming", index=False)
        with pytest.raises(errors.SchemaError):
            db.collection("c", dimension=72)
        for wrong in (np.zeros((1, 8)), np.zeros((1, 64), bool), np.zeros((1, 8), np.int8)):
            with pytest.raises(TypeError, match=r"uint8 \(numpy.packbits|numbers"):
                codes.upsert([1], wrong)
            with pytest.raises(TypeError, match=r"uint8 \(numpy.packbits|numbers"):
                codes.search(wrong[0])
        with pytest.raises(errors.DimensionError, match="8 bytes, 64 bits, found 64 bytes"):
            codes.upsert([1], np.zeros((1, 64), np.uint8))
        with pytest.raises(errors.DimensionError, match="8 bytes, 64 bits, found 9 bytes"):
            codes.search_batch(np.zeros((2, 9), np.uint8))
        with pytest.raises(errors.ArgumentError, match="not a byte of packed bits"):
            codes.upsert([1], [[256] * 8])
        assert len(codes) == 0
