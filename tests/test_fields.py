"""Vectors in named fields and sparse vectors, by every way in and out."""

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from scipy.sparse import csr_matrix

import rust_ai_core as rac
from conftest import RunRac
from rust_ai_core.errors import (
    ArgumentError,
    DimensionError,
    NonFiniteError,
    SchemaError,
)

FIELDS: dict[str, rac.VectorField | rac.SparseField] = {
    "title": rac.VectorField(4),
    "terms": rac.SparseField(),
}
TITLES = [[1.0, 0.0, 0.0, 0.0], None, [0.0, 1.0, 0.0, 0.0], [0.9, 0.1, 0.0, 0.0]]
TERMS = [rac.SparseVector([1, 5], [1.0, 2.0]), {5: 1.0, 2: 4.0}, None, ([7], [3.0])]


def fill(db: rac.Database) -> rac.Collection:
    items = db.collection("items", dimension=2, fields=FIELDS)
    items.upsert(
        ["a", "b", "c", "d"],
        [[1, 0], [0, 1], [1, 1], [-1, 0]],
        texts=["one", "two", "three", "four"],
        metadata=[{"n": 1}, {"n": 2}, {"n": 1}, {"n": 2}],
        fields={"title": TITLES, "terms": TERMS},
    )
    return items


def ids(hits: list[rac.Hit]) -> list[Any]:
    return [hit.id for hit in hits]


def contents(items: rac.Collection) -> dict[Any, dict[str, Any]]:
    def plain(value: Any) -> Any:
        return value.to_dict() if isinstance(value, rac.SparseVector) else value.tolist()

    return {
        record.id: {name: plain(value) for name, value in record.vectors.items()}
        for record in items
    }


EXPECTED = {
    "a": {"title": TITLES[0], "terms": {1: 1.0, 5: 2.0}},
    "b": {"terms": {2: 4.0, 5: 1.0}},
    "c": {"title": TITLES[2]},
    "d": {"title": [np.float32(x) for x in (0.9, 0.1, 0, 0)], "terms": {7: 3.0}},
}


@pytest.mark.parametrize("compacted", [False, True])
def test_what_goes_in_comes_out_and_is_found(tmp_path: Path, compacted: bool) -> None:
    with rac.open(tmp_path / "db.rac") as db:
        items = fill(db)
        if compacted:
            items.compact()
        assert items.fields == FIELDS
        assert contents(items) == EXPECTED
        record = items.get(["a"])[0]
        assert record is not None
        assert record.vectors["title"].dtype == np.float32
        assert record.vectors["terms"] == rac.SparseVector([1, 5], [1, 2])

        hits = items.search([1, 0, 0, 0], using="title")
        assert ids(hits) == ["a", "d", "c"]
        assert hits[0].score == pytest.approx(1.0)
        assert hits[0].text == "one"
        assert ids(items.search([1, 0, 0, 0], using="title", limit=1, offset=1)) == ["d"]
        assert ids(items.search([1, 0, 0, 0], using="title", where={"n": 1})) == ["a", "c"]
        assert ids(items.search([1, 0, 0, 0], using="title", within=0.5)) == ["a", "d"]
        assert ids(items.search([1, 0, 0, 0], using="title", exact=True)) == ["a", "d", "c"]
        groups = items.search([1, 0, 0, 0], using="title", group_by="n", limit=2)
        assert ids(groups) == ["a", "d"]

        for query in (rac.SparseVector([5], [2.0]), {5: 2.0}, ([5], [2.0]), (np.array([5]), [2])):
            hits = items.search(query, using="terms")
            assert [(hit.id, hit.score) for hit in hits] == [("a", 4.0), ("b", 2.0)]
        assert ids(items.search({7: 1.0, 5: -1.0}, using="terms")) == ["d", "b", "a"]
        assert items.search({99: 1.0}, using="terms") == []

        found, scores = items.search_batch([[1, 0, 0, 0], [0, 1, 0, 0]], using="title", limit=4)
        assert found.tolist() == [["a", "d", "c", None], ["c", "d", "a", None]]
        assert np.isnan(scores[0, 3])
        found, _ = items.search_batch([{5: 1.0}, {7: 1.0}], using="terms", limit=1)
        assert found.tolist() == [["a"], ["d"]]

        # A record that is written again has what it is given then.
        items.upsert("a", [[1, 0]])
        assert contents(items)["a"] == {}
        assert ids(items.search([1, 0, 0, 0], using="title")) == ["d", "c"]
        items.delete("d")
        assert ids(items.search([1, 0, 0, 0], using="title")) == ["c"]


def test_rankings_are_fused(tmp_path: Path) -> None:
    with rac.open(tmp_path / "db.rac") as db:
        items = fill(db)
        query = {"vector": [0, 1], "title": [1, 0, 0, 0], "terms": {7: 1.0}}
        rankings = {
            "vector": ids(items.search([0, 1])),
            "title": ids(items.search([1, 0, 0, 0], using="title")),
            "terms": ids(items.search({7: 1.0}, using="terms")),
        }

        def expected(weights: dict[str, float], constant: float) -> dict[Any, float]:
            scores: dict[Any, float] = {}
            for name, ranking in rankings.items():
                for rank, key in enumerate(ranking, start=1):
                    share = weights.get(name, 1.0) / (constant + rank)
                    scores[key] = scores.get(key, 0.0) + share
            return scores

        for weights, constant in (({}, 60.0), ({"title": 3.0, "vector": 0.5}, 10.0)):
            hits = items.search(query, weights=weights or None, fusion_k=constant)
            scores = expected(weights, constant)
            assert {hit.id: hit.score for hit in hits} == pytest.approx(scores)
            assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
        assert ids(items.search({"terms": {7: 1.0}})) == ["d"]
        assert len(items.search(query, group_by="n", limit=1, group_size=2)) == 2
        for wrong, arguments in (
            (query, {"weights": {"body": 1.0}}),
            (query, {"weights": (1.0, 2.0)}),
            (query, {"weights": {"title": -1.0}}),
            ({}, {}),
            ({"body": [1, 2]}, {}),
            ({7: 1.0}, {}),
            (query, {"language": "en"}),
        ):
            with pytest.raises(ArgumentError):
                items.search(wrong, **arguments)


def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with rac.open(tmp_path / "db.rac") as db:
        items = db.collection("items", dimension=2, fields=FIELDS)

        def upsert(**fields: Any) -> None:
            items.upsert(["a", "b"], [[1, 0], [0, 1]], fields=fields)

        with pytest.raises(DimensionError, match=r'field "title", row 1: expected .* 4 .* found 3'):
            upsert(title=[[1, 2, 3, 4], [1, 2, 3]])
        with pytest.raises(DimensionError, match=r'field "title": expected .* 4 .* found 3'):
            upsert(title=np.ones((2, 3)))
        with pytest.raises(NonFiniteError, match=r"field 'title', row 1"):
            upsert(title=[None, [1, 2, float("nan"), 4]])
        with pytest.raises(ArgumentError, match="2 ids, but 1 vectors in field"):
            upsert(title=[[1, 2, 3, 4]])
        with pytest.raises(ArgumentError, match='no field "body", but terms, title'):
            upsert(body=[[1], [2]])
        with pytest.raises(ArgumentError, match=r'field "terms", row 1: .* 5 comes before 1'):
            upsert(terms=[None, ([5, 1], [1.0, 2.0])])
        with pytest.raises(ArgumentError, match=r"each index once, but 5 twice"):
            rac.SparseVector([5, 5], [1.0, 2.0])
        with pytest.raises(ArgumentError, match="0 to 4294967295, not -1"):
            rac.SparseVector([-1], [1.0])
        with pytest.raises(ArgumentError, match="index 3 is NaN"):
            rac.SparseVector([3], [float("inf")])
        with pytest.raises(TypeError, match="whole numbers"):
            rac.SparseVector([1.5], [1.0])
        with pytest.raises(TypeError, match="not str"):
            upsert(terms=["no", "vector"])
        assert len(items) == 0

        for query, using, error in (
            ([1, 2, 3], "title", DimensionError),
            ([1, 2, 3, float("nan")], "title", NonFiniteError),
            ([1, 2, 3, 4], "body", ArgumentError),
            ([1, 2, 3, 4], "terms", TypeError),
            (np.ones((2, 4)), "title", ArgumentError),
        ):
            with pytest.raises(error):
                items.search(query, using=using)
        with pytest.raises(ArgumentError, match="leave mode out"):
            items.search("word", using="title", mode="text")

        with pytest.raises(SchemaError, match=r"fields terms \(sparse\), title"):
            db.collection("items", fields={"title": rac.VectorField(4)})
        for name in ("", "Title", "vector", "a.b", "x" * 65):
            with pytest.raises(ArgumentError):
                db.collection("other", dimension=2, fields={name: rac.SparseField()})
        many = {f"f{number}": rac.SparseField() for number in range(17)}
        with pytest.raises(ArgumentError, match="at most 16 fields"):
            db.collection("other", dimension=2, fields=many)
        with pytest.raises(ArgumentError, match="is a VectorField or a SparseField"):
            db.collection("other", dimension=2, fields={"a": 3})  # type: ignore[dict-item]
        plain = db.collection("plain", dimension=2)
        assert plain.fields == {}
        with pytest.raises(ArgumentError, match="created without any"):
            plain.search([1], using="title")


def test_rows_that_are_not_finite_can_be_skipped(tmp_path: Path) -> None:
    with rac.open(tmp_path / "db.rac") as db:
        items = db.collection("items", dimension=2, fields=FIELDS)
        titles = [[1, 0, 0, 0], [float("nan"), 0, 0, 0], None]
        written = items.upsert([1, 2, 3], [[1, 0]] * 3, fields={"title": titles}, non_finite="skip")
        assert written == 2
        assert contents(items) == {1: {"title": [1, 0, 0, 0]}, 3: {}}


def test_bits_and_sparse_matrices(tmp_path: Path) -> None:
    with rac.open(tmp_path / "db.rac") as db:
        fields: dict[str, rac.VectorField | rac.SparseField] = {
            "code": rac.VectorField(16, metric="hamming"),
            "terms": rac.SparseField(),
        }
        assert repr(fields["code"]) == "VectorField(16, metric='hamming', dtype='bits')"
        items = db.collection("items", dimension=1, fields=fields)
        codes = np.array([[255, 0], [15, 1]], np.uint8)
        matrix = csr_matrix(np.array([[0, 2.0, 0], [1.0, 0, 3.0]]))
        items.upsert([1, 2], [[1], [2]], fields={"code": codes, "terms": matrix})
        record = items.get([2])[0]
        assert record is not None
        assert record.vectors["code"].dtype == np.uint8
        assert record.vectors["terms"].to_dict() == {0: 1.0, 2: 3.0}
        hits = items.search(np.array([255, 1], np.uint8), using="code")
        assert [(hit.id, hit.score) for hit in hits] == [(1, 1.0), (2, 4.0)]
        assert ids(items.search(matrix[1], using="terms")) == [2]
        found, _ = items.search_batch(matrix, using="terms", limit=1)
        assert found.tolist() == [[1], [2]]


def test_tables_and_files_keep_fields(tmp_path: Path, run_rac: RunRac) -> None:
    with rac.open(tmp_path / "db.rac") as db:
        items = fill(db)
        table = pyarrow.table(items.to_arrow())
        assert table.column_names == [
            "id",
            "vector",
            "text",
            "metadata",
            "place",
            "terms",
            "title",
        ]
        assert table.schema.field("title").type == pyarrow.list_(
            pyarrow.field("item", pyarrow.float32(), nullable=False), 4
        )
        assert table["terms"].to_pylist()[2:] == [None, {"indices": [7], "values": [3.0]}]
        copy = db.collection("copy", dimension=2, fields=FIELDS)
        assert copy.upsert_table(items.to_arrow()) == 4
        assert contents(copy) == EXPECTED
        assert pyarrow.table(copy.to_arrow()) == table
        items.export(tmp_path / "items.parquet")
        again = db.collection("again", dimension=2, fields=FIELDS)
        assert again.import_(tmp_path / "items.parquet") == 4
        assert contents(again) == EXPECTED

        # Lists of any kind, doubles and 64-bit indices, and a table without one of the fields.
        plain = pyarrow.table(
            {
                "id": [1, 2],
                "vector": [[1.0, 0.0], [0.0, 1.0]],
                "terms": [{"indices": [3, 4], "values": [1.0, 2.0]}, None],
            }
        )
        again.upsert_table(plain)
        assert contents(again)[1] == {"terms": {3: 1.0, 4: 2.0}}
        assert contents(again)[2] == {}
        for column, error, match in (
            ([[1.0] * 3, None], DimensionError, 'column "title", row 0: .* 4 elements, found 3'),
            ([None, [1.0, None, 1.0, 1.0]], ArgumentError, 'column "title", row 1'),
            ([None, [1.0, float("nan"), 1.0, 1.0]], NonFiniteError, 'column "title", row 1'),
        ):
            with pytest.raises(error, match=match):
                again.upsert_table(plain.append_column("title", pyarrow.array(column)))
        for vector, match in (
            ({"indices": [4, 3], "values": [1.0, 2.0]}, "ascend"),
            ({"indices": [-4], "values": [1.0]}, "no number from 0"),
            ({"indices": [4], "values": [None]}, "is null"),
        ):
            wrong = plain.set_column(2, "terms", pyarrow.array([None, vector]))
            with pytest.raises(ArgumentError, match=f'column "terms", row 1: .*{match}'):
                again.upsert_table(wrong)
    database = tmp_path / "made.rac"
    run_rac("import", database, tmp_path / "items.parquet", "--collection", "items")
    with rac.open(database) as db:
        assert db.collection("items").fields == FIELDS
        assert contents(db.collection("items")) == EXPECTED


def read(path: str, results: "multiprocessing.Queue[Any]") -> None:
    with rac.open(path, read_only=True) as db:
        items = db.collection("items")
        results.put((contents(items), ids(items.search([1, 0, 0, 0], using="title"))))


def test_snapshots_readers_and_copies_have_fields(tmp_path: Path) -> None:
    path = tmp_path / "db.rac"
    with rac.open(path) as db:
        items = fill(db)
        items.compact()
        items.upsert("e", [[1, 2]], fields={"title": [[1, 0, 0, 0]]})
        with db.snapshot() as before:
            items.delete(["a", "e"])
            of_snapshot = before.collection("items")
            assert ids(of_snapshot.search([1, 0, 0, 0], using="title")) == ["a", "e", "d", "c"]
            assert ids(of_snapshot.search({5: 1.0}, using="terms")) == ["a", "b"]
        assert ids(items.search([1, 0, 0, 0], using="title")) == ["d", "c"]
        context = multiprocessing.get_context("spawn")
        results: multiprocessing.Queue[Any] = context.Queue()
        process = context.Process(target=read, args=(str(path), results))
        process.start()
        expected = {key: EXPECTED[key] for key in ("b", "c", "d")}
        assert results.get(timeout=60) == (expected, ["d", "c"])
        process.join()
        db.backup(tmp_path / "backup.rac")
    rac.restore(tmp_path / "backup.rac", tmp_path / "restored.rac")
    assert rac.verify(tmp_path / "restored.rac").ok
    with rac.open(tmp_path / "restored.rac") as db:
        items = db.collection("items")
        assert items.fields == FIELDS
        assert contents(items) == expected
        assert ids(items.search({5: 1.0}, using="terms")) == ["b"]


def test_a_graph_of_a_field_finds_nearly_all(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    centres = random.normal(size=(80, 24))
    near = (centres[random.integers(0, 80, 9000)] + 0.4 * random.normal(size=(9000, 24))).tolist()
    titles: list[Any] = [None if row % 10 == 0 else near[row] for row in range(9000)]
    with rac.open(tmp_path / "db.rac", durability="batch") as db:
        items = db.collection("items", dimension=2, fields={"title": rac.VectorField(24)})
        items.upsert(range(9000), np.ones((9000, 2)), fields={"title": titles})
        items.optimize()
        assert items.stats()["fields"]["title"]["graph_vectors"] == 8100
        queries = centres[:60] + 0.4 * random.normal(size=(60, 24))
        approximate, _ = items.search_batch(queries, using="title", limit=10)
        exact, _ = items.search_batch(queries, using="title", limit=10, exact=True)
        found = sum(len(set(a) & set(b)) for a, b in zip(approximate, exact, strict=True))
        assert found >= 0.95 * 600


def test_recall_is_that_of_a_field(tmp_path: Path) -> None:
    with rac.open(tmp_path / "db.rac") as db:
        items = fill(db)
        assert items.recall(using="title", sample=3, limit=1) == 1.0
        assert items.recall(using="title", queries=[[1, 0, 0, 0], [0, 1, 0, 1]], limit=2) == 1.0
        assert items.recall(using="title", limit=1, where={"n": 1}) == 1.0
        with pytest.raises(DimensionError):
            items.recall(using="title", queries=[[1, 0]])
        with pytest.raises(ArgumentError, match="always exact"):
            items.recall(using="terms")
        with pytest.raises(ArgumentError, match="none"):
            items.recall(using="none")


def test_an_index_that_is_missing_or_damaged_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "db.rac"
    with rac.open(path) as db:
        fill(db).compact()
    folder = path / "collections" / "items"
    for suffix in ("title.vectors", "terms.sparse"):
        [file] = folder.glob(f"*.{suffix}")
        whole = file.read_bytes()
        for content in (None, whole[:-1], whole[:600] + b"?" + whole[601:], b""):
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content)
                assert not rac.verify(path).ok
            with rac.open(path) as db:
                items = db.collection("items")
                assert ids(items.search([1, 0, 0, 0], using="title")) == ["a", "d", "c"]
                assert ids(items.search({5: 1.0}, using="terms")) == ["a", "b"]
                assert contents(items) == EXPECTED
            assert rac.verify(path).ok
            assert file.read_bytes() == whole


def test_the_command_line_shows_fields(tmp_path: Path, run_rac: RunRac) -> None:
    with rac.open(tmp_path / "db.rac") as db:
        fill(db)
        db.collection("plain", dimension=2)
        assert "fields=['terms', 'title']" in repr(db.collection("items"))
        assert db.stats()["collections"]["items"]["fields"]["terms"] == {"kind": "sparse"}
    shown = run_rac("stats", tmp_path / "db.rac").stdout
    assert "terms, title" in shown
