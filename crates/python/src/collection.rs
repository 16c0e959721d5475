//! A collection: writing, reading and searching records.

use std::sync::{Arc, OnceLock};

use database::{
    Batch, ElementType, FieldKind, Filter, GroupBy, PreparedSearch, ScoredId, SearchOptions,
};
use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::arrays::Matrix;
use crate::columns::{NonFinite, are_texts, drop_non_finite, metadata_column, text_column};
use crate::convert;
use crate::damage;
use crate::encoder::Encoder;
use crate::errors::{Kind, OrRaise};
use crate::fields::{self, FieldSearch};
use crate::index::{self, Index};
use crate::ingest::{self, IngestReport};
use crate::optimize;
use crate::progress::Reporter;
use crate::queries;
use crate::record::{Hit, Record};
use crate::record_iterator::RecordIterator;
use crate::shared_encoder::SharedEncoder;
use crate::text_search::{self, Mode};
use crate::threads;

/// Results that one batch search may give: the arrays for them have room for each, found or not.
const MAX_BATCH_CELLS: usize = 1 << 28;

/// A collection of records, made by `Database.collection`.
///
/// A record has an id (`int` or `str`), a vector, and optionally a text, metadata (a dict of JSON
/// values) and its place in a source. Searches run with the GIL released, on all cores where that
/// helps. A collection may be used from many threads.
#[pyclass(module = "rust_ai_core", frozen)]
pub(crate) struct Collection {
    pub(crate) inner: database::Collection,
    /// Loaded when it is first needed.
    encoder: OnceLock<Arc<SharedEncoder>>,
}

pub(crate) fn stats_to_dict<'py>(
    py: Python<'py>,
    stats: &database::CollectionStats,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("records", stats.records)?;
    dict.set_item("indexed_records", stats.indexed_records)?;
    dict.set_item("sources", stats.documents)?;
    dict.set_item("segments", stats.segments)?;
    dict.set_item("file_bytes", stats.file_bytes)?;
    dict.set_item("live_bytes", stats.live_bytes)?;
    dict.set_item("dead_bytes", stats.dead_bytes)?;
    dict.set_item("memory_bytes", stats.memory_bytes)?;
    dict.set_item("generation", stats.generation)?;
    dict.set_item("damaged_files", stats.damaged_files)?;
    let fields = PyDict::new(py);
    for of_field in &stats.fields {
        let field = PyDict::new(py);
        match of_field.field.kind {
            FieldKind::Sparse => field.set_item("kind", "sparse")?,
            FieldKind::Dense(dense) => {
                field.set_item("kind", "dense")?;
                field.set_item("dimension", dense.dimension * dense.element.coordinates())?;
                field.set_item("metric", dense.metric.name())?;
                field.set_item("dtype", dense.element.name())?;
                field.set_item("graph_vectors", of_field.graph_vectors)?;
            }
        }
        fields.set_item(&of_field.field.name, field)?;
    }
    dict.set_item("fields", fields)?;
    Ok(dict)
}

impl Collection {
    pub(crate) fn new(
        inner: database::Collection,
        encoder: Option<Arc<SharedEncoder>>,
    ) -> Collection {
        let cell = OnceLock::new();
        if let Some(encoder) = encoder {
            // A new cell is empty, so this cannot fail.
            let _ = cell.set(encoder);
        }
        Collection { inner, encoder: cell }
    }

    fn encoder(&self, py: Python<'_>) -> PyResult<Arc<SharedEncoder>> {
        if let Some(encoder) = self.encoder.get() {
            return Ok(encoder.clone());
        }
        let Some(model) = &self.inner.schema().model else {
            return Err(Kind::Model.error(format!(
                "collection {:?} has no model: give vectors, or create it with model=",
                self.inner.name()
            )));
        };
        let (_, encoder) = SharedEncoder::named(py, &model.name, None, None)?;
        if encoder.fingerprint() != model.fingerprint {
            return Err(Kind::Model.error(format!(
                "collection {:?} was made with another {:?} (fingerprint {}, this one has {}); \
                 its vectors do not compare",
                self.inner.name(),
                model.name,
                model.fingerprint,
                encoder.fingerprint()
            )));
        }
        Ok(self.encoder.get_or_init(|| encoder).clone())
    }

    /// Runs a search with the GIL released: on this thread where that is sooner than waking others.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        options: &SearchOptions<'_>,
        queries: usize,
        search: impl Fn(&PreparedSearch<'_>) -> database::Result<T> + Sync,
    ) -> PyResult<T> {
        let here = || -> database::Result<_> {
            let prepared = self.inner.prepare(options)?;
            let found = prepared.is_quick(queries).then(|| search(&prepared));
            Ok((prepared, found))
        };
        let (prepared, found) = py.detach(here).or_raise()?;
        let found = match found {
            Some(found) => found.or_raise()?,
            None => threads::run(py, || search(&prepared))?.or_raise()?,
        };
        damage::warn(py, &self.inner)?;
        Ok(found)
    }

    /// The vectors of texts that are stored.
    pub(crate) fn embed_documents(&self, py: Python<'_>, texts: Vec<String>) -> PyResult<Vec<f32>> {
        let encoder = self.encoder(py)?;
        encoder.encode(py, texts, encoder.prompts().of_documents(), &Reporter::Silent)
    }

    /// The vectors that queries stand for.
    pub(crate) fn vectors(&self, object: &Bound<'_, PyAny>) -> PyResult<Matrix> {
        let schema = self.inner.schema();
        if !are_texts(object)? {
            return Matrix::of_schema(object, schema);
        }
        let py = object.py();
        let texts = convert::texts(object)?;
        let encoder = self.encoder(py)?;
        let rows = texts.len();
        let values =
            encoder.encode(py, texts, encoder.prompts().of_queries(), &Reporter::Silent)?;
        Ok(Matrix { values, rows, columns: schema.dimension })
    }
}

/// A filter from the `where` argument.
pub(crate) fn filter(condition: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Filter>> {
    let Some(condition) = condition.filter(|condition| !condition.is_none()) else {
        return Ok(None);
    };
    let value = convert::json_object(condition, "where")?;
    Filter::parse(&value).map(Some).map_err(|error| Kind::Filter.error(error.to_string()))
}

/// Ids and scores in arrays of `limit` columns, with None and NaN where there are fewer.
#[expect(clippy::type_complexity, reason = "two arrays, spelled out")]
fn found_to_arrays<'py>(
    py: Python<'py>,
    found: &[Vec<ScoredId>],
    limit: usize,
) -> PyResult<(Bound<'py, PyArray2<Py<PyAny>>>, Bound<'py, PyArray2<f32>>)> {
    let cells = found.len() * limit;
    let mut ids: Vec<Py<PyAny>> = Vec::with_capacity(cells);
    let mut scores: Vec<f32> = Vec::with_capacity(cells);
    for row in found {
        for hit in row {
            ids.push(convert::id_to_python(py, &hit.id)?.unbind());
            scores.push(hit.score);
        }
        ids.extend((row.len()..limit).map(|_| py.None()));
        scores.extend((row.len()..limit).map(|_| f32::NAN));
    }
    let shape = [found.len(), limit];
    Ok((ids.into_pyarray(py).reshape(shape)?, scores.into_pyarray(py).reshape(shape)?))
}

#[pymethods]
impl Collection {
    /// The name it was created with.
    #[getter]
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// Elements of a vector: bits, where they are packed.
    #[getter]
    fn dimension(&self) -> usize {
        self.inner.schema().coordinates()
    }

    /// "cosine", "dot", "l2" or "hamming".
    #[getter]
    fn metric(&self) -> &'static str {
        self.inner.schema().metric.name()
    }

    /// What vectors are kept as: "float32", "float16", "bfloat16", "int8", or "bits".
    #[getter]
    fn dtype(&self) -> &'static str {
        self.inner.schema().element.name()
    }

    /// The name of the model that embeds its texts, if it has one.
    #[getter]
    fn model(&self) -> Option<&str> {
        self.inner.schema().model.as_ref().map(|model| model.name.as_str())
    }

    /// The fields that records may have vectors in beside their own, by name: `VectorField` and
    /// `SparseField`. A new dict each time.
    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        fields::fields_to_python(py, &self.inner.schema().fields)
    }

    /// The encoder of its model, loaded on first use. Raises ModelError where it has no model, or
    /// where the model of that name is no longer the one that made the collection's vectors.
    #[getter(encoder)]
    fn encoder_object(&self, py: Python<'_>) -> PyResult<Encoder> {
        let encoder = self.encoder(py)?;
        Ok(Encoder::wrap(self.model().unwrap_or_default().to_owned(), encoder))
    }

    /// Writes records: new ones are added, those whose id exists are replaced as a whole. Returns
    /// how many. The call is one transaction, and durable when it returns (see `open`).
    ///
    /// `ids` are `int` or `str`; `vectors` is n x dimension of anything that NumPy understands (of
    /// packed bits, uint8 of n x dimension / 8, as `numpy.packbits` gives them).
    /// Where the collection has a model, `texts` alone will do: they are embedded. `metadata` is one
    /// dict for all, or one (or None) each. Where an id comes twice, the last one wins. Raises
    /// DimensionError, NonFiniteError for NaN or infinity (`non_finite="skip"` leaves such rows
    /// out), TypeError for metadata that is not JSON; then nothing is written.
    ///
    /// `fields` is a dict of the collection's fields and what records have there: for a VectorField an
    /// array, or a list with None for a record without one; for a SparseField a list of SparseVector,
    /// dicts of indices and numbers, pairs of both, or None, or a SciPy sparse matrix. See
    /// docs/fields.md.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     items.upsert([1, 2], [[1, 0], [0, 1]], metadata=[{"lang": "en"}, {"lang": "de"}])
    /// 2
    #[pyo3(signature = (
        ids, vectors = None, *, texts = None, metadata = None, fields = None, non_finite = "raise"
    ))]
    fn upsert(
        &self,
        ids: &Bound<'_, PyAny>,
        vectors: Option<&Bound<'_, PyAny>>,
        texts: Option<&Bound<'_, PyAny>>,
        metadata: Option<&Bound<'_, PyAny>>,
        fields: Option<&Bound<'_, PyAny>>,
        non_finite: &str,
    ) -> PyResult<usize> {
        let py = ids.py();
        // Before texts are embedded for nothing.
        self.inner.check_writable().or_raise()?;
        let ids = convert::ids(ids)?;
        let metadata = metadata_column(metadata, &ids)?;
        let texts = text_column(texts)?;
        let fields = fields::columns(fields, self.inner.schema())?;
        for (name, column) in &fields {
            if column.len() != ids.len() {
                return Err(Kind::Argument.error(format!(
                    "there are {} ids, but {} vectors in field {name:?}",
                    ids.len(),
                    column.len()
                )));
            }
        }
        for (name, length) in
            [("metadata", metadata.as_ref().map(Vec::len)), ("texts", texts.as_ref().map(Vec::len))]
        {
            if let Some(length) = length
                && length != ids.len()
            {
                return Err(Kind::Argument
                    .error(format!("there are {} ids, but {length} {name}", ids.len())));
            }
        }
        let (metadata, texts) = (metadata.unwrap_or_default(), texts.unwrap_or_default());
        let dimension = self.inner.schema().dimension;
        let vectors = match vectors.filter(|vectors| !vectors.is_none()) {
            Some(vectors) => Matrix::of_schema(vectors, self.inner.schema())?,
            None if ids.is_empty() => Matrix { values: Vec::new(), rows: 0, columns: dimension },
            None if texts.is_empty() => {
                return Err(Kind::Argument.error("give vectors, or texts for a model to embed"));
            }
            None => {
                let present: Vec<String> = texts
                    .iter()
                    .enumerate()
                    .map(|(index, text)| {
                        text.clone().ok_or_else(|| {
                            PyTypeError::new_err(format!("text {index} is None and has no vector"))
                        })
                    })
                    .collect::<PyResult<_>>()?;
                let rows = present.len();
                Matrix { values: self.embed_documents(py, present)?, rows, columns: dimension }
            }
        };
        if vectors.rows != ids.len() {
            return Err(Kind::Argument.error(format!(
                "there are {} ids, but {} vectors",
                ids.len(),
                vectors.rows
            )));
        }
        let vectors = vectors.values;
        let mut batch = Batch { ids, vectors, texts, metadata, places: Vec::new(), fields };
        if NonFinite::parse(non_finite)? == NonFinite::Skip {
            drop_non_finite(&mut batch, dimension);
        }
        Ok(py.detach(|| self.inner.upsert(batch)).or_raise()?.upserted)
    }

    /// The records of these ids, in their order; None for an id that is not there.
    fn get(&self, ids: &Bound<'_, PyAny>) -> PyResult<Vec<Option<Record>>> {
        let py = ids.py();
        let ids = convert::ids(ids)?;
        let records = py.detach(|| self.inner.get(&ids)).or_raise()?;
        damage::warn(py, &self.inner)?;
        let schema = self.inner.schema();
        Ok(records
            .into_iter()
            .map(|record| record.map(|record| Record::of(record, schema)))
            .collect())
    }

    /// Deletes by id, or every record that matches `where`; returns how many were there.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     _ = items.upsert([1, 2, 3], [[1, 0], [0, 1], [1, 1]], metadata={"old": True})
    /// ...     items.delete([1, 99]), items.delete(where={"old": True}), len(items)
    /// (1, 2, 0)
    #[pyo3(signature = (ids = None, *, r#where = None))]
    fn delete(
        &self,
        py: Python<'_>,
        ids: Option<&Bound<'_, PyAny>>,
        r#where: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        match (ids.filter(|ids| !ids.is_none()), filter(r#where)?) {
            (Some(ids), None) => {
                let ids = convert::ids(ids)?;
                py.detach(|| self.inner.delete(&ids)).or_raise()
            }
            (None, Some(filter)) => py.detach(|| self.inner.delete_where(&filter)).or_raise(),
            _ => Err(Kind::Argument.error("give either ids or where")),
        }
    }

    /// The records nearest to a query, best first, at most `limit`.
    ///
    /// `query` is a text, where the collection has a model, or a vector. `where` restricts the
    /// search to matching records: `{"lang": "en", "year": {"$gte": 2020}}` with the operators
    /// `$eq $ne $in $nin $gt $gte $lt $lte $exists $contains $and $or $not`, dotted keys for nested
    /// values, and `$id`, `$source`, `$line` for the record itself. `within` leaves out what is
    /// worse than this score (for "l2": farther than this squared distance; for "hamming": different
    /// in more bits).
    ///
    /// Small collections, and records written a moment ago, are searched exactly. Larger ones are
    /// searched through a graph, which finds nearly all of the nearest (see `recall`): `effort` is
    /// how many candidates it keeps, more finds more and takes longer; `exact=True` compares every
    /// record. Equal scores come in the order of insertion. Raises FilterError (a ValueError) for a
    /// condition that means nothing, ArgumentError for a limit or an effort of 0.
    ///
    /// `offset` leaves out the first hits; a later page is searched with more candidates, so only
    /// the pages of exact searches are sure to fit together. `group_by` is a key as in `where`, such
    /// as `$source`: hits with equal values under it are a group (a list counts as one value; those
    /// without the key are a group, too), groups rank as their best hits, and come one after the
    /// other. `limit` and `offset` then count groups, and `group_size` (1) is how many hits of each.
    ///
    /// `mode="text"` goes by words instead of vectors: BM25 over the texts, words reduced to stems in
    /// the `language` ("en"; an ISO 639-1 code such as "de", "es", "fr", "ru", or "none" for words
    /// as they are). It needs no model. In the query, `"several words"` must stand next to each other,
    /// `+word` must be there, `-word` and `-"several words"` must not. `fields` names what is searched
    /// and what it counts, `{"title": 2.0, "text": 1.0}`: "text" is the text, anything else a key of
    /// the metadata with a string or a list of strings; the score is the weighted sum.
    ///
    /// `mode="hybrid"` fuses both by reciprocal ranks, `weights[0] / (fusion_k + rank)` for vectors and
    /// `weights[1] / (fusion_k + rank)` for words (`fusion_k` is 60), over the first `offset + limit`
    /// (at least 100) of each. `within` is about the score that hits have. `Hit.highlights` says where
    /// the words are in the text. The first search by words in a language writes an index of the words
    /// beside the data, and from then on it is kept up. Options that a mode would not heed raise
    /// ArgumentError.
    ///
    /// `using` names a field: `query` is a vector of that field, for a SparseField a SparseVector (or
    /// a dict of indices and numbers, a pair of both, a row of a SciPy sparse matrix), and records
    /// without a vector there are not found. A dict of names and queries, in which "vector" stands for
    /// the records' own vectors, fuses these rankings by reciprocal ranks; `weights` is then a dict
    /// of what each counts (1). See docs/fields.md.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     notes = db.collection("notes", model="minilm")
    /// ...     _ = notes.upsert(["a", "b"], texts=["The cat sleeps.", "Stocks fell today."])
    /// ...     notes.search("finance", limit=1)[0].text
    /// ...     hit = notes.search("sleeping", mode="text")[0]
    /// ...     hit.id, hit.highlights
    /// 'Stocks fell today.'
    /// ('a', [(8, 14)])
    #[pyo3(signature = (
        query, *, limit = 10, offset = 0, r#where = None, effort = None, exact = false,
        within = None, group_by = None, group_size = None, mode = "dense", language = None,
        weights = None, fusion_k = None, fields = None, using = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn search(
        &self,
        query: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = convert::count)] limit: usize,
        #[pyo3(from_py_with = convert::count)] offset: usize,
        r#where: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = convert::optional_count)] effort: Option<usize>,
        exact: bool,
        within: Option<f32>,
        group_by: Option<&str>,
        #[pyo3(from_py_with = convert::optional_count)] group_size: Option<usize>,
        mode: &str,
        language: Option<&str>,
        weights: Option<&Bound<'_, PyAny>>,
        fusion_k: Option<f32>,
        fields: Option<&Bound<'_, PyDict>>,
        using: Option<&str>,
    ) -> PyResult<Vec<Hit>> {
        let py = query.py();
        let filter = filter(r#where)?;
        let options = SearchOptions { limit, filter: filter.as_ref(), effort, exact, within };
        let mode = Mode::parse(mode)?;
        let fields = fields.map(text_search::fields).transpose()?;
        let fused = query.cast::<PyDict>().ok().filter(|_| using.is_none() && mode == Mode::Dense);
        let settings = text_search::Settings {
            language,
            // Those of a query by several fields are its own.
            weights: match fused {
                Some(_) => None,
                None => weights.map(|weights| weights.extract()).transpose()?,
            },
            fusion_k: fusion_k.filter(|_| fused.is_none()),
            fields,
        };
        settings.check(mode, &options)?;
        if using.is_some() && mode != Mode::Dense {
            return Err(Kind::Argument.error("using= goes by vectors: leave mode out"));
        }
        let group_by = group_by.map(queries::key).transpose()?;
        if group_size.is_some() && group_by.is_none() {
            return Err(Kind::Argument.error("group_size needs group_by"));
        }
        let size = group_size.unwrap_or(1);
        let group_by = group_by.as_ref().map(|key| GroupBy { key, size });
        let in_fields = FieldSearch { options: &options, group_by: group_by.as_ref(), offset };
        if let Some(queries) = fused {
            return fields::search_fused(self, queries, weights, fusion_k, &in_fields);
        }
        if let Some(name) = using {
            return fields::search(self, query, name, &in_fields);
        }
        if mode != Mode::Dense {
            let group_by = group_by.as_ref();
            return text_search::search(self, query, mode, settings, &options, group_by, offset);
        }
        let query = self.vectors(query)?;
        if query.rows != 1 {
            return Err(Kind::Argument
                .error(format!("search takes one query, found {}; see search_batch", query.rows)));
        }
        if let Some(group_by) = group_by {
            let search = || self.inner.search_groups(&query.values, &options, &group_by, offset);
            let groups = threads::run(py, search)?.or_raise()?;
            damage::warn(py, &self.inner)?;
            return Ok(groups.into_iter().flat_map(|(_, hits)| hits).map(Hit::from).collect());
        }
        // A limit of 0 is refused, whatever the offset.
        let reach = if limit == 0 { 0 } else { limit.saturating_add(offset) };
        let options = SearchOptions { limit: reach, ..options };
        let hits = self.run(py, &options, 1, |search| search.search_from(&query.values, offset))?;
        Ok(hits.into_iter().map(Hit::from).collect())
    }

    /// Searches for many queries at once: `(ids, scores)`, both of shape (n, limit), best first.
    ///
    /// `queries` are texts or vectors; with `using`, vectors of that field. `ids` is an object array
    /// with None, `scores` a float32 array with NaN where there are fewer records than `limit`. Otherwise as `search`; ArgumentError
    /// also where n x limit is beyond 2^28.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     _ = items.upsert(["x", "y"], [[1, 0], [0, 1]])
    /// ...     ids, scores = items.search_batch([[2, 0], [0, 3]], limit=1)
    /// >>> ids.tolist(), scores.tolist()
    /// ([['x'], ['y']], [[1.0], [1.0]])
    #[pyo3(signature = (
        queries, *, limit = 10, r#where = None, effort = None, exact = false, within = None,
        using = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    #[expect(clippy::type_complexity, reason = "two arrays, spelled out")]
    fn search_batch<'py>(
        &self,
        queries: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = convert::count)] limit: usize,
        r#where: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = convert::optional_count)] effort: Option<usize>,
        exact: bool,
        within: Option<f32>,
        using: Option<&str>,
    ) -> PyResult<(Bound<'py, PyArray2<Py<PyAny>>>, Bound<'py, PyArray2<f32>>)> {
        let py = queries.py();
        let filter = filter(r#where)?;
        let options = SearchOptions { limit, filter: filter.as_ref(), effort, exact, within };
        if let Some(name) = using {
            let found = fields::search_batch(self, queries, name, &options, MAX_BATCH_CELLS)?;
            return found_to_arrays(py, &found, limit);
        }
        let queries = self.vectors(queries)?;
        let cells = queries.rows.saturating_mul(limit);
        if cells > MAX_BATCH_CELLS {
            return Err(Kind::Argument.error(format!(
                "{} queries with limit={limit} would give {cells} results, more than {MAX_BATCH_CELLS}",
                queries.rows
            )));
        }
        let found = self.run(py, &options, queries.rows, |search| {
            search.search_batch(&queries.values, queries.rows)
        })?;
        found_to_arrays(py, &found, limit)
    }

    /// How many records there are, or how many match `where`.
    #[pyo3(signature = (r#where = None))]
    fn count(&self, py: Python<'_>, r#where: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let count = match filter(r#where)? {
            Some(filter) => threads::run(py, || self.inner.count(&filter))?.or_raise()?,
            None => self.inner.len().or_raise()?,
        };
        damage::warn(py, &self.inner)?;
        Ok(count)
    }

    /// The sources that were ingested, sorted.
    fn sources(&self) -> PyResult<Vec<String>> {
        let documents = self.inner.documents().or_raise()?;
        let mut sources: Vec<String> = documents.into_iter().map(|(source, _)| source).collect();
        sources.sort();
        Ok(sources)
    }

    /// Parses, chunks, embeds and stores a file, a folder, or texts. Needs a model.
    ///
    /// `source` is a path (folders are walked, files of known formats read: Markdown, text, HTML,
    /// source code, CSV, TSV, JSON, JSON Lines), a mapping of name to text, or an iterable of texts.
    /// `include` and `exclude` are globs; `gitignore=True` honours `.gitignore`; hidden files are
    /// left out unless `hidden`. Texts are cut on section and sentence boundaries into chunks of at
    /// most `max_tokens` (the model's limit) with `overlap_tokens` of overlap, and for each
    /// `source_text[start:end] == text`, where the source text is `parse(path).text`. Chunks get
    /// the metadata title, format and section where known, and `metadata`.
    ///
    /// Sources whose content and settings did not change are passed over; a changed one is replaced
    /// as a whole; `prune=True` deletes sources that are gone from the folder. A file that cannot be
    /// read is reported in the result and skipped. `progress` is True for a bar or a callable that
    /// gets an IngestProgress. Ctrl-C stops cleanly: what is written stays, a rerun continues.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     notes = db.collection("notes", model="minilm")
    /// ...     report = notes.ingest({"cats.md": "# Cats\n\nCats sleep a lot."})
    /// ...     hit = notes.search("how long do cats sleep?", limit=1)[0]
    /// >>> report.ingested, report.chunks, hit.source, hit.line
    /// (1, 1, 'cats.md', 1)
    #[pyo3(signature = (
        source, *, include = None, exclude = None, gitignore = false, hidden = false,
        max_file_bytes = 52_428_800, encoding = None, max_tokens = None, overlap_tokens = None,
        metadata = None, prune = false, progress = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn ingest(
        &self,
        py: Python<'_>,
        source: &Bound<'_, PyAny>,
        include: Option<Vec<String>>,
        exclude: Option<Vec<String>>,
        gitignore: bool,
        hidden: bool,
        max_file_bytes: u64,
        encoding: Option<String>,
        #[pyo3(from_py_with = convert::optional_count)] max_tokens: Option<usize>,
        #[pyo3(from_py_with = convert::optional_count)] overlap_tokens: Option<usize>,
        metadata: Option<&Bound<'_, PyAny>>,
        prune: bool,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<IngestReport> {
        self.inner.check_writable().or_raise()?;
        let encoder = self.encoder(py)?;
        let settings = ingest::Settings {
            include: include.unwrap_or_default(),
            exclude: exclude.unwrap_or_default(),
            gitignore,
            hidden,
            max_file_bytes,
            encoding,
            max_tokens,
            overlap_tokens,
            metadata: metadata
                .filter(|metadata| !metadata.is_none())
                .map(|metadata| convert::json_object(metadata, "metadata"))
                .transpose()?,
            prune,
        };
        ingest::run(py, &self.inner, &encoder, source, settings, progress)
    }

    /// Gives the space of deleted and replaced records back. This also happens by itself. Searches
    /// and writes go on meanwhile; Ctrl-C leaves all as it was. `progress` is True for a bar or a
    /// callable that gets the steps done and the steps in all.
    #[pyo3(signature = (*, progress = None))]
    fn compact(&self, py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        optimize::run(py, progress, |report| self.inner.compact_with(report))
    }

    /// Brings the collection into the form that is searched fastest: indexed as a whole, in one
    /// piece. The background comes close to that by itself, so nobody has to call this; after a
    /// large load it says when the index is complete. Searches and writes go on meanwhile; Ctrl-C
    /// leaves the collection as it was. `progress` is True for a bar or a callable that gets
    /// the steps done and the steps in all.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> import numpy as np
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=32)
    /// ...     vectors = np.random.default_rng(0).normal(size=(5000, 32))
    /// ...     _ = items.upsert(range(5000), vectors)
    /// ...     items.optimize()
    /// ...     items.stats()["indexed_records"]
    /// 5000
    #[pyo3(signature = (*, progress = None))]
    fn optimize(&self, py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        optimize::run(py, progress, |report| self.inner.optimize_with(report))
    }

    /// The share of the `limit` nearest records that a search finds, 0 to 1, measured against exact
    /// searches: `sample` records of the collection are searched for, each left out of its own
    /// results, or `queries`, which are texts or vectors. `effort` and `where` are those of `search`,
    /// and so is `using`, which names a VectorField: queries are vectors of it then. Raises
    /// ArgumentError where there is nothing to find, and for a SparseField, which is searched exactly.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     items = db.collection("items", dimension=2)
    /// ...     _ = items.upsert([1, 2, 3], [[1, 0], [0, 1], [1, 1]])
    /// ...     items.recall(sample=3, limit=1)
    /// 1.0
    #[pyo3(signature = (
        *, sample = 200, queries = None, limit = 10, effort = None, r#where = None,
        progress = None, using = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn recall(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = convert::count)] sample: usize,
        queries: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = convert::count)] limit: usize,
        #[pyo3(from_py_with = convert::optional_count)] effort: Option<usize>,
        r#where: Option<&Bound<'_, PyAny>>,
        progress: Option<&Bound<'_, PyAny>>,
        using: Option<&str>,
    ) -> PyResult<f64> {
        let filter = filter(r#where)?;
        let queries = queries.filter(|queries| !queries.is_none());
        if let Some(name) = using {
            let options =
                SearchOptions { filter: filter.as_ref(), effort, ..SearchOptions::new(limit) };
            return fields::recall(py, self, name, queries, sample, &options, progress);
        }
        let queries = queries.map(|queries| self.vectors(queries)).transpose()?;
        let options =
            SearchOptions { filter: filter.as_ref(), effort, ..SearchOptions::new(limit) };
        optimize::run(py, progress, |report| match &queries {
            Some(queries) => self.inner.recall(&queries.values, &options, report),
            None => self.inner.recall_of_sample(sample, &options, report),
        })
    }

    /// How the vectors are indexed.
    #[getter]
    fn index(&self) -> Index {
        index::wrap(self.inner.index())
    }

    /// Returns once everything written so far is on the disk.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.flush()).or_raise()
    }

    /// What is known to be damaged, a dict for each file: its path (`file`), what is wrong at which byte
    /// (`problems`), how many records cannot be read (`lost_records`; None where nobody knows), and
    /// their ids as far as they can be told (`lost_ids`). `kept_as` is where the damaged bytes are if
    /// another file was written in their place, and `keeps_closed` says whether the collection cannot
    /// be opened because of it: of one that is open, nothing does.
    ///
    /// Searches and reads find out what they meet, and go on around it: an index that is damaged is
    /// not used and is written anew in the background (DamageWarning); records that cannot be read
    /// are left out (LossWarning), and asking for one by its id raises CorruptError. `verify` looks
    /// at everything.
    ///
    /// >>> import rust_ai_core as rac
    /// >>> with rac.open("notes.rac") as db:
    /// ...     db.collection("items", dimension=2).damage()
    /// []
    fn damage<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        damage::to_list(py, &py.detach(|| self.inner.damage()).or_raise()?)
    }

    /// What the collection takes: records, sources, bytes on disk (live and dead) and in memory, and
    /// how many files are known to be damaged.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats_to_dict(py, &self.inner.stats().or_raise()?)
    }

    fn __len__(&self) -> PyResult<usize> {
        self.inner.len().or_raise()
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __contains__(&self, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.inner.contains(&convert::id(id)?).or_raise()
    }

    fn __iter__(&self) -> RecordIterator {
        RecordIterator::new(self.inner.clone())
    }

    fn __repr__(&self) -> String {
        let schema = self.inner.schema();
        let name = self.inner.name();
        let model = schema
            .model
            .as_ref()
            .map_or(String::new(), |model| format!(", model='{}'", model.name));
        let metric = schema.metric.name();
        let dtype = match schema.element {
            ElementType::Float32 => String::new(),
            other => format!(", dtype='{}'", other.name()),
        };
        let fields: Vec<String> =
            schema.fields.iter().map(|field| format!("'{}'", field.name)).collect();
        let fields = match fields.is_empty() {
            true => String::new(),
            false => format!(", fields=[{}]", fields.join(", ")),
        };
        let records = match self.inner.len() {
            Ok(records) => format!("records={records}"),
            Err(_) => "closed".to_owned(),
        };
        format!(
            "Collection('{name}', dimension={}, metric='{metric}'{dtype}{model}{fields}, {records})",
            schema.coordinates()
        )
    }

    fn _repr_html_(&self) -> String {
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
        let schema = self.inner.schema();
        let mut rows = vec![
            (
                "records",
                self.inner.len().map_or("closed".to_owned(), |records| records.to_string()),
            ),
            ("dimension", schema.coordinates().to_string()),
            ("metric", schema.metric.name().to_owned()),
            ("dtype", schema.element.name().to_owned()),
        ];
        if let Some(model) = &schema.model {
            rows.push(("model", model.name.clone()));
        }
        if !schema.fields.is_empty() {
            let fields: Vec<String> = schema.fields.iter().map(ToString::to_string).collect();
            rows.push(("fields", fields.join(", ")));
        }
        let rows: String = rows
            .iter()
            .map(|(label, value)| format!("<tr><th>{label}</th><td>{}</td></tr>", escape(value)))
            .collect();
        format!("<table><caption>{}</caption>{rows}</table>", escape(self.inner.name()))
    }
}
