"""Tables in and out through the Arrow C interface: pyarrow, polars, pandas, Parquet."""

import datetime
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rust_ai_core as rac
from rust_ai_core import errors

FRAME_ROWS = 16_384

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
metadata_objects = st.dictionaries(
    texts,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)
ids = st.integers(-(2**63), 2**63 - 1) | texts
float32s = st.floats(-1000, 1000, width=32)


@st.composite
def records(draw: st.DrawFn) -> list[dict[str, Any]]:
    chosen = draw(st.lists(ids, max_size=8, unique_by=lambda key: (type(key), key)))
    return [
        {
            "id": key,
            "vector": draw(st.lists(float32s, min_size=3, max_size=3)),
            "text": draw(st.none() | texts),
            "metadata": draw(st.none() | metadata_objects),
        }
        for key in chosen
    ]


def contents(collection: rac.Collection) -> list[tuple[Any, ...]]:
    """Everything there is, in an order that does not depend on the order of writing."""
    rows = [
        (
            (type(record.id).__name__, record.id),
            record.vector.tolist(),
            record.text,
            None if record.metadata is None else json.dumps(record.metadata, sort_keys=True),
            (record.source, record.start, record.end, record.line),
        )
        for record in collection
    ]
    return sorted(rows, key=lambda row: (row[0][0], row[0][1]))


@pytest.fixture
def items(database: rac.Database) -> rac.Collection:
    return database.collection("items", dimension=2)


def table(rows: int, **columns: Any) -> pa.Table:
    vectors = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    return pa.table({"id": list(range(rows)), "vector": vectors.tolist(), **columns})


class TestRoundTrip:
    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(rows=records(), dtype=st.sampled_from(["float32", "float16", "bfloat16", "int8"]))
    def test_what_comes_out_goes_in_again_exactly(
        self, rows: list[dict[str, Any]], dtype: Any, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("trip")
        with rac.open(folder / "test.rac", durability="batch") as database:
            first = database.collection("first", dimension=3, dtype=dtype, metric="l2")
            if rows:
                first.upsert(
                    [row["id"] for row in rows],
                    [row["vector"] for row in rows],
                    texts=[row["text"] for row in rows],
                    metadata=[row["metadata"] for row in rows],
                )
            expected = contents(first)
            stream = first.to_arrow()
            assert len(stream) == len(rows)
            first.export(folder / "first.parquet")
            tables = [
                stream,
                pa.table(stream),
                pa.table(stream).combine_chunks().to_batches()[0] if rows else stream,
                pl.DataFrame(stream),
                pq.read_table(folder / "first.parquet"),
            ]
            for index, each in enumerate(tables):
                other = database.collection(f"{index}", dimension=3, dtype=dtype, metric="l2")
                assert other.upsert_table(each) == len(rows)
                assert contents(other) == expected
            other = database.collection("import", dimension=3, dtype=dtype, metric="l2")
            assert other.import_(folder / "first.parquet") == len(rows)
            assert contents(other) == expected

    def test_places_and_segments(
        self, tmp_path: Path, tiny_model: Path, database: rac.Database
    ) -> None:
        notes = database.collection("notes", model=tiny_model)
        notes.ingest({f"{n}.md": f"# Title {n}\n\nSome words, {n} of them." for n in range(30)})
        notes.optimize()
        notes.ingest({"late.md": "# Late\n\nStill in memory."})
        assert notes.export(tmp_path / "notes.parquet") == len(notes)
        copy = database.collection("copy", model=tiny_model)
        assert copy.import_(tmp_path / "notes.parquet") == len(notes)
        assert contents(copy) == contents(notes)
        assert next(iter(copy)).source is not None

    def test_no_records(self, items: rac.Collection, tmp_path: Path) -> None:
        empty = pa.table(items.to_arrow())
        assert empty.num_rows == 0
        assert empty.column_names == ["id", "vector", "text", "metadata", "place"]
        assert items.upsert_table(empty) == 0
        schema: dict[str, Any] = {"id": pl.Int64, "vector": pl.List(pl.Float64)}
        assert items.upsert_table(pl.DataFrame(schema=schema)) == 0
        assert items.upsert_table(pa.table({"id": [], "vector": []})) == 0
        assert items.export(tmp_path / "none.parquet") == 0
        assert items.import_(tmp_path / "none.parquet") == 0
        assert items.to_polars().height == 0
        assert len(items.to_pandas()) == 0

    def test_a_filter_chooses(self, items: rac.Collection, tmp_path: Path) -> None:
        items.upsert_table(table(10, odd=[n % 2 == 1 for n in range(10)]))
        where = {"odd": True}
        assert items.to_polars(where=where)["id"].to_list() == [1, 3, 5, 7, 9]
        assert items.to_pandas(where=where)["id"].tolist() == [1, 3, 5, 7, 9]
        assert items.export(tmp_path / "odd.parquet", where=where) == 5
        with pytest.raises(errors.FilterError):
            items.to_arrow(where={"odd": {"$no": 1}})

    def test_a_stream_is_a_snapshot_and_may_be_read_again(self, items: rac.Collection) -> None:
        items.upsert_table(table(5))
        stream = items.to_arrow()
        before = pa.table(stream)
        items.delete([0])
        items.upsert([1], [[9, 9]])
        items.optimize()
        assert pa.table(stream).equals(before)
        assert repr(stream) == "ArrowStream(5 records: id, vector, text, metadata, place)"
        assert pa.schema(stream).equals(before.schema)

    def test_long_collections_come_in_bounded_batches(self, items: rac.Collection) -> None:
        rows = 2 * FRAME_ROWS + 5
        assert items.upsert_table(table(rows)) == rows
        reader = pa.RecordBatchReader.from_stream(items.to_arrow())
        sizes = [batch.num_rows for batch in reader]
        assert sum(sizes) == rows
        assert max(sizes) <= FRAME_ROWS + 64


class TestTypes:
    @pytest.mark.parametrize(
        "kind",
        [
            *(pa.list_(value) for value in (pa.float16(), pa.float32(), pa.float64(), pa.int8())),
            *(pa.large_list(value) for value in (pa.float32(), pa.float64(), pa.uint16())),
            *(pa.list_(value, 2) for value in (pa.float16(), pa.float32(), pa.float64())),
        ],
        ids=str,
    )
    def test_vectors(self, items: rac.Collection, kind: pa.DataType) -> None:
        whole = pa.array([[n, n + 1] for n in range(10)], pa.list_(pa.int64())).cast(kind)
        chunks = pa.chunked_array([whole.slice(0, 3), whole.slice(3, 0), whole.slice(3)])
        data = pa.table({"id": list(range(10)), "vector": chunks})
        assert items.upsert_table(data.slice(2, 6)) == 6
        assert [record.vector.tolist() for record in items] == [[n, n + 1] for n in range(2, 8)]

    @pytest.mark.parametrize(
        "kind",
        [
            pa.string(),
            pa.large_string(),
            pa.string_view(),
            pa.dictionary(pa.int8(), pa.string()),
            pa.dictionary(pa.uint32(), pa.large_string()),
        ],
        ids=str,
    )
    def test_strings(self, items: rac.Collection, kind: pa.DataType) -> None:
        column = pa.array(["skipped", "ä", "", "a long string, longer than a view keeps"], kind)
        keys = pa.array([None, "x", None, "x"], kind)
        data = pa.table({"id": column, "vector": [[1, 2]] * 4, "text": keys, "key": keys})
        assert items.upsert_table(data.slice(1)) == 3
        assert [record.id for record in items] == column.to_pylist()[1:]
        assert [record.text for record in items] == ["x", None, "x"]
        assert [record.metadata for record in items] == [{"key": "x"}, None, {"key": "x"}]

    @pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int32(), pa.uint64()], ids=str)
    def test_integer_ids(self, items: rac.Collection, kind: pa.DataType) -> None:
        items.upsert_table(pa.table({"id": pa.array([3, 4], kind), "vector": [[1, 2]] * 2}))
        assert [record.id for record in items] == [3, 4]

    def test_metadata_of_every_type(self, items: rac.Collection) -> None:
        moment = datetime.datetime(2024, 2, 29, 12, 30, 15, 250_000)
        zoned = moment.replace(tzinfo=datetime.timezone.utc)
        columns: dict[str, tuple[Any, pa.DataType, Any]] = {
            "flag": (True, pa.bool_(), True),
            "small": (-7, pa.int8(), -7),
            "large": (2**64 - 1, pa.uint64(), 2**64 - 1),
            "half": (np.float16(0.5), pa.float16(), 0.5),
            "double": (0.1, pa.float64(), 0.1),
            "date": (moment.date(), pa.date32(), "2024-02-29"),
            "naive": (moment, pa.timestamp("us"), "2024-02-29T12:30:15.250"),
            "zoned": (zoned, pa.timestamp("ms", "UTC"), "2024-02-29T12:30:15.250Z"),
            "time": (moment.time(), pa.time64("us"), "12:30:15.250"),
            "list": ([1, None], pa.list_(pa.int64()), [1, None]),
            "fixed": (["a", "b"], pa.list_(pa.string(), 2), ["a", "b"]),
            "struct": (
                {"a": 1, "b": None},
                pa.struct([("a", pa.int8()), ("b", pa.string())]),
                {"a": 1},
            ),
            "map": ([("k", 1), ("l", None)], pa.map_(pa.string(), pa.int8()), {"k": 1, "l": None}),
            "nested": (
                [[{"x": ["y"]}]],
                pa.list_(pa.list_(pa.struct([("x", pa.list_(pa.string()))]))),
                [[{"x": ["y"]}]],
            ),
            "place": ("shelf 3", pa.string(), "shelf 3"),
        }
        arrays = {
            name: pa.array([None, value, None, value], kind)
            for name, (value, kind, _) in columns.items()
        }
        data = pa.table({"id": [0, 1, 2, 3], "vector": [[1, 2]] * 4, **arrays})
        assert items.upsert_table(data.slice(1)) == 3
        expected = {name: value for name, (_, _, value) in columns.items()}
        assert [record.metadata for record in items] == [expected, None, expected]
        where = {"zoned": {"$gt": "2024-02-29T13:00:00+01:00"}}
        assert items.count(where=where) == 2

    @pytest.mark.parametrize(
        "kind",
        [pa.struct([("a", pa.int8()), ("b", pa.string())]), pa.map_(pa.string(), pa.int8())],
        ids=str,
    )
    def test_a_column_of_objects(self, items: rac.Collection, kind: pa.DataType) -> None:
        objects = pa.array([None, {"a": 1}, {}, None], pa.struct([("a", pa.int8())]))
        if pa.types.is_map(kind):
            column = pa.array([None, [("a", 1)], [], None], kind)
        else:
            column = (
                objects.cast(kind) if objects.type == kind else pa.array(objects.to_pylist(), kind)
            )
        data = table(4, metadata=column, more=[None, None, "x", "y"])
        items.upsert_table(data)
        assert [record.metadata for record in items] == [
            None,
            {"a": 1},
            {"more": "x"},
            {"more": "y"},
        ]

    def test_pandas_and_polars(self, items: rac.Collection) -> None:
        vectors = [[1.0, 2.0], [3.0, 4.0]]
        frame = pd.DataFrame({"id": ["a", "b"], "vector": vectors, "n": [1.5, None]})
        assert items.upsert_table(frame) == 2
        assert [record.metadata for record in items] == [{"n": 1.5}, None]
        polars_frame = pl.DataFrame(
            {"id": ["c", "d"], "vector": vectors, "kind": ["x", "y"]},
            schema={"id": pl.String, "vector": pl.Array(pl.Float32, 2), "kind": pl.Categorical},
        )
        assert items.upsert_table(polars_frame) == 2
        assert [record.metadata for record in items][2:] == [{"kind": "x"}, {"kind": "y"}]
        assert items.to_pandas()["id"].tolist() == items.to_polars()["id"].to_list()
        assert np.stack(items.to_pandas()["vector"].tolist()).tolist() == vectors * 2

    def test_names_of_columns(self, items: rac.Collection) -> None:
        data = table(2).rename_columns(["key", "embedding"])
        assert items.upsert_table(data, id="key", vector="embedding") == 2
        assert [record.metadata for record in items] == [None, None]

    def test_huge_strings(self, items: rac.Collection) -> None:
        long = ["ab" * 5_000_000, None, "c" * 9_000_000]
        assert items.upsert_table(table(3, text=pa.array(long, pa.large_string()))) == 3
        assert pa.table(items.to_arrow())["text"].to_pylist() == long

    def test_texts_are_embedded(self, database: rac.Database, tiny_model: Path) -> None:
        notes = database.collection("notes", model=tiny_model)
        assert notes.upsert_table(pa.table({"id": ["a", "b"], "text": ["one", "two"]})) == 2
        expected = notes.encoder.encode(["one", "two"])
        assert [record.vector.tolist() for record in notes] == expected.tolist()
        with pytest.raises(errors.ArgumentError, match='column "text", row 1: null'):
            notes.upsert_table(pa.table({"id": ["a", "b"], "text": ["one", None]}))
        with pytest.raises(errors.ArgumentError, match='nor a column "text"'):
            notes.upsert_table(pa.table({"id": ["a"]}))


class TestErrors:
    def test_vectors_of_another_model(
        self, database: rac.Database, tiny_model: Path, prompted_model: Path
    ) -> None:
        notes = database.collection("notes", model=tiny_model)
        notes.upsert(["a"], texts=["one"])
        made = pa.table(notes.to_arrow())
        described = json.loads(made.schema.metadata[b"rust_ai_core"])
        assert (described["dimension"], described["dtype"]) == (notes.dimension, "float32")
        described["model_fingerprint"] = "another"
        other = made.replace_schema_metadata({"rust_ai_core": json.dumps(described)})
        with pytest.raises(errors.SchemaError, match="another model"):
            notes.upsert_table(other)

    @pytest.mark.parametrize(
        ("columns", "error", "message"),
        [
            ({"id": [1, None]}, errors.ArgumentError, 'column "id", row 1: an id must not be null'),
            ({"id": [1.5, 2.5]}, TypeError, 'column "id" is Float64, but must be integers'),
            ({"id": pa.array([0, 2**63], pa.uint64())}, errors.ArgumentError, 'column "id", row 1'),
            ({"vector": [[1, 2], None]}, errors.ArgumentError, 'column "vector", row 1.*not null'),
            ({"vector": [[1, 2], [3]]}, errors.DimensionError, 'column "vector", row 1.*found 1'),
            ({"vector": [[1, 2], [3, None]]}, errors.ArgumentError, "row 1: element 1 .* null"),
            ({"vector": [[1.0, 2], [np.nan, 1]]}, errors.NonFiniteError, 'column "vector", row 1'),
            ({"vector": [[1.0, 2], [1e300, 1]]}, errors.NonFiniteError, 'column "vector", row 1'),
            ({"vector": [["1", "2"]] * 2}, TypeError, 'column "vector" is'),
            ({"vector": ["1", "2"]}, TypeError, 'column "vector" is'),
            ({"text": [1, 2]}, TypeError, 'column "text" is Int64, but must be strings'),
            ({"metadata": ['{"a": 1}', "{"]}, errors.ArgumentError, 'column "metadata", row 1'),
            (
                {"metadata": [None, "[]"]},
                errors.ArgumentError,
                "row 1: metadata must be a JSON obj",
            ),
            ({"metadata": [1, 2]}, TypeError, 'column "metadata" is Int64'),
            ({"n": [0.0, np.nan]}, errors.ArgumentError, 'column "n", row 1: NaN is not JSON'),
            ({"n": [b"", b"x"]}, TypeError, 'column "n" is Binary'),
            (
                {"metadata": [None, '{"n": 1}'], "n": [1, 2]},
                errors.ArgumentError,
                'column "n", row 1: the row\'s metadata have this key too',
            ),
        ],
    )
    def test_it_names_column_and_row_and_writes_nothing(
        self,
        items: rac.Collection,
        columns: dict[str, Any],
        error: type[Exception],
        message: str,
    ) -> None:
        with pytest.raises(error, match=message) as raised:
            items.upsert_table(pa.table({"id": [1, 2], "vector": [[1, 2]] * 2, **columns}))
        assert "; nothing is written" in str(raised.value)
        assert len(items) == 0

    def test_tables_that_cannot_be(self, items: rac.Collection) -> None:
        with pytest.raises(errors.ArgumentError, match='no column "id" of ids.*"vector"'):
            items.upsert_table(pa.table({"vector": [[1, 2]]}))
        with pytest.raises(errors.ArgumentError, match='no column "vector".*no model'):
            items.upsert_table(pa.table({"id": [1]}))
        vectors = pa.array([[1, 2, 3]], pa.list_(pa.float32(), 3))
        with pytest.raises(errors.DimensionError, match="of 3 elements, expected 2"):
            items.upsert_table(pa.table({"id": [1], "vector": vectors}))
        with pytest.raises(errors.ArgumentError, match='two columns are named "a"'):
            items.upsert_table(pa.table([[1], [1], [1]], names=["id", "a", "a"]))
        with pytest.raises(TypeError, match="expected a table .* found list"):
            items.upsert_table([1, 2])
        with pytest.raises(errors.ArgumentError, match='"raise" or "skip"'):
            items.upsert_table(table(1), non_finite="ignore")  # type: ignore[arg-type]

    def test_rows_that_are_not_finite_may_be_skipped(self, items: rac.Collection) -> None:
        data = table(3, text=["a", "b", "c"])
        vectors = pa.array([[1, 2], [np.inf, 1], [3, 4]], pa.list_(pa.float64()))
        data = data.set_column(1, "vector", vectors)
        assert items.upsert_table(data, non_finite="skip") == 2
        assert [(record.id, record.text) for record in items] == [(0, "a"), (2, "c")]

    def test_transactions_before_an_unusable_row_stay(self, items: rac.Collection) -> None:
        rows = 3 * FRAME_ROWS
        wrong = 2 * FRAME_ROWS + 7
        data = table(rows, text=[None if n != wrong else "here" for n in range(rows)])
        numbers = [0.0 if n != wrong else np.nan for n in range(rows)]
        data = data.append_column("n", pa.array(numbers, from_pandas=False))
        done: list[int] = []
        with pytest.raises(errors.ArgumentError, match=f'column "n", row {wrong}: NaN') as raised:
            items.upsert_table(data, progress=done.append)
        written = 2 * FRAME_ROWS
        assert f"the {written} rows before row {written} are written" in str(raised.value)
        assert done == [FRAME_ROWS, written]
        assert len(items) == written
        assert {record.id for record in items} == set(range(written))

    def test_a_stream_that_fails(self, items: rac.Collection) -> None:
        whole = table(20_000)

        def batches() -> Iterator[pa.RecordBatch]:
            yield from whole.to_batches()
            raise RuntimeError("the producer broke")

        reader = pa.RecordBatchReader.from_batches(whole.schema, batches())
        with pytest.raises(
            errors.ArgumentError, match="from row 20000.*the producer broke"
        ) as raised:
            items.upsert_table(reader)
        assert "the 16384 rows before row 16384 are written" in str(raised.value)
        assert len(items) == FRAME_ROWS

    def test_many_small_batches_become_few_transactions(self, items: rac.Collection) -> None:
        data = pa.Table.from_batches(table(3000).to_batches(max_chunksize=1))
        done: list[int] = []
        assert items.upsert_table(data, progress=done.append) == 3000
        assert done == [3000]

    def test_a_closed_database(self, tmp_path: Path) -> None:
        with rac.open(tmp_path / "x.rac") as database:
            items = database.collection("items", dimension=2)
        with pytest.raises(errors.ClosedError):
            items.upsert_table(table(1))
        with pytest.raises(errors.ClosedError):
            items.to_arrow()


class TestPackages:
    @pytest.mark.parametrize(
        ("package", "call"),
        [
            ("polars", lambda items: items.to_polars()),
            ("pandas", lambda items: items.to_pandas()),
            ("pyarrow", lambda items: items.export("x.parquet")),
            ("pyarrow", lambda items: items.import_("x.parquet")),
        ],
    )
    def test_one_that_is_missing_is_named(
        self, items: rac.Collection, package: str, call: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ImportError, match=f"pip install {package}"):
            call(items)


class TestParquet:
    def test_a_file_is_complete_or_not_there(self, items: rac.Collection, tmp_path: Path) -> None:
        items.upsert_table(table(2 * FRAME_ROWS))
        path = tmp_path / "out" / "items.parquet"
        with pytest.raises(errors.NotFoundError, match="no folder"):
            items.export(path)
        path.parent.mkdir()

        def stop(done: int) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            items.export(path, progress=stop)
        assert list(path.parent.iterdir()) == []
        assert items.export(path) == 2 * FRAME_ROWS
        assert [file.name for file in path.parent.iterdir()] == ["items.parquet"]

    def test_what_is_no_parquet_file(self, items: rac.Collection, tmp_path: Path) -> None:
        with pytest.raises(errors.NotFoundError, match="there is no file"):
            items.import_(tmp_path / "none.parquet")
        (tmp_path / "x.parquet").write_bytes(b"no such thing")
        with pytest.raises(errors.StorageError, match="not a Parquet file"):
            items.import_(tmp_path / "x.parquet")


class TestKernels:
    @pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.float16()], ids=str)
    def test_arrow_arrays_are_vectors(self, kind: pa.DataType) -> None:
        a = pa.array([9.0, 3.0, 4.0, 9.0], kind).slice(1, 2)
        assert rac.process_embedding(a) == 5.0
        assert rac.fast_vector_similarity(a, pl.Series([1.0, 2.0])) == 11.0
        assert rac.similarity.cosine(a, pa.chunked_array([a])) == pytest.approx(1.0)
