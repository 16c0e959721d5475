//! Searches in a collection's fields.

use database::{FieldKind, FieldQuery, FusedQuery, GroupBy, ScoredId, SearchOptions, SparseVector};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::column::{kind_of, schema_of};
use super::sparse::{sparse_rows, sparse_vector};
use crate::arrays::Matrix;
use crate::collection::Collection;
use crate::damage;
use crate::errors::{Kind, OrRaise};
use crate::optimize;
use crate::record::Hit;
use crate::threads;

/// What the records' own vectors are called in a fused query.
const OWN: &str = "vector";

/// What a search goes by, and how its hits are shown.
pub(crate) struct FieldSearch<'a> {
    pub(crate) options: &'a SearchOptions<'a>,
    pub(crate) group_by: Option<&'a GroupBy<'a>>,
    pub(crate) offset: usize,
}

/// A query that came from Python.
enum Owned {
    Dense(Vec<f32>),
    Sparse(SparseVector),
}

impl Owned {
    fn query(&self) -> FieldQuery<'_> {
        match self {
            Owned::Dense(vector) => FieldQuery::Dense(vector),
            Owned::Sparse(vector) => FieldQuery::Sparse(vector),
        }
    }
}

fn one_of(matrix: Matrix) -> PyResult<Owned> {
    match matrix.rows {
        1 => Ok(Owned::Dense(matrix.values)),
        rows => {
            Err(Kind::Argument
                .error(format!("search takes one query, found {rows}; see search_batch")))
        }
    }
}

fn query_of(collection: &Collection, name: &str, query: &Bound<'_, PyAny>) -> PyResult<Owned> {
    match kind_of(collection.inner.schema(), name)? {
        FieldKind::Dense(field) => one_of(Matrix::of_schema(query, &schema_of(&field))?),
        FieldKind::Sparse => sparse_vector(query).map(Owned::Sparse),
    }
}

/// The records whose vectors in a field match a query best.
pub(crate) fn search(
    collection: &Collection,
    query: &Bound<'_, PyAny>,
    name: &str,
    search: &FieldSearch<'_>,
) -> PyResult<Vec<Hit>> {
    let owned = query_of(collection, name, query)?;
    let FieldSearch { options, group_by, offset } = *search;
    let find = || collection.inner.search_field(name, owned.query(), options, group_by, offset);
    let hits = threads::run(query.py(), find)?.or_raise()?;
    damage::warn(query.py(), &collection.inner)?;
    Ok(hits.into_iter().map(Hit::from).collect())
}

/// As [`search`], for many queries and without texts.
pub(crate) fn search_batch(
    collection: &Collection,
    queries: &Bound<'_, PyAny>,
    name: &str,
    options: &SearchOptions<'_>,
    most: usize,
) -> PyResult<Vec<Vec<ScoredId>>> {
    let owned: Vec<Owned> = match kind_of(collection.inner.schema(), name)? {
        FieldKind::Dense(field) => {
            let matrix = Matrix::of_schema(queries, &schema_of(&field))?;
            let rows = matrix.values.chunks_exact(field.dimension.max(1));
            rows.map(|row| Owned::Dense(row.to_vec())).collect()
        }
        FieldKind::Sparse => match sparse_rows(queries)? {
            Some(rows) => rows.into_iter().map(Owned::Sparse).collect(),
            None => {
                let one = |query: PyResult<Bound<'_, PyAny>>| sparse_vector(&query?);
                queries
                    .try_iter()?
                    .map(one)
                    .map(|one| one.map(Owned::Sparse))
                    .collect::<PyResult<_>>()?
            }
        },
    };
    let cells = owned.len().saturating_mul(options.limit);
    if cells > most {
        return Err(Kind::Argument.error(format!(
            "{} queries with limit={} would give {cells} results, more than {most}",
            owned.len(),
            options.limit
        )));
    }
    let parts: Vec<FieldQuery<'_>> = owned.iter().map(Owned::query).collect();
    let find = || collection.inner.search_field_batch(name, &parts, options);
    let found = threads::run(queries.py(), find)?.or_raise()?;
    damage::warn(queries.py(), &collection.inner)?;
    Ok(found)
}

/// The share of the best records that approximate searches in a dense field find.
pub(crate) fn recall(
    py: Python<'_>,
    collection: &Collection,
    name: &str,
    queries: Option<&Bound<'_, PyAny>>,
    sample: usize,
    options: &SearchOptions<'_>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<f64> {
    let queries = match (kind_of(collection.inner.schema(), name)?, queries) {
        (FieldKind::Dense(field), Some(queries)) => {
            Some(Matrix::of_schema(queries, &schema_of(&field))?)
        }
        // A sparse field is refused whatever it is asked.
        _ => None,
    };
    optimize::run(py, progress, |report| match &queries {
        Some(queries) => collection.inner.recall_field(name, &queries.values, options, report),
        None => collection.inner.recall_field_of_sample(name, sample, options, report),
    })
}

/// The records that are best in several rankings: a query for each of some fields, and what each
/// counts.
pub(crate) fn search_fused(
    collection: &Collection,
    queries: &Bound<'_, PyDict>,
    weights: Option<&Bound<'_, PyAny>>,
    constant: Option<f32>,
    search: &FieldSearch<'_>,
) -> PyResult<Vec<Hit>> {
    let weight_of = weights_of(queries, weights)?;
    let mut owned = Vec::new();
    for (name, query) in queries.iter() {
        let Ok(name) = name.extract::<String>() else {
            return Err(Kind::Argument.error(
                "a query by several fields is a dict of their names; a sparse one needs using=",
            ));
        };
        let query = match name.as_str() {
            OWN => one_of(collection.vectors(&query)?)?,
            name => query_of(collection, name, &query)?,
        };
        let weight = weight_of(&name)?;
        owned.push((name, query, weight));
    }
    if owned.is_empty() {
        return Err(Kind::Argument.error("a query by several fields names one at least"));
    }
    let parts: Vec<FusedQuery<'_>> = owned
        .iter()
        .map(|(name, query, weight)| FusedQuery {
            field: (name != OWN).then_some(name.as_str()),
            query: query.query(),
            weight: *weight,
        })
        .collect();
    let FieldSearch { options, group_by, offset } = *search;
    let find = || collection.inner.search_fused(&parts, options, constant, group_by, offset);
    let hits = threads::run(queries.py(), find)?.or_raise()?;
    damage::warn(queries.py(), &collection.inner)?;
    Ok(hits.into_iter().map(Hit::from).collect())
}

/// What each field counts: 1, where a dict of weights does not say.
fn weights_of(
    queries: &Bound<'_, PyDict>,
    weights: Option<&Bound<'_, PyAny>>,
) -> PyResult<impl Fn(&str) -> PyResult<f32>> {
    let weights = match weights {
        None => None,
        Some(weights) => Some(weights.cast::<PyDict>().map_err(|_| {
            Kind::Argument.error("the weights of a query by several fields are a dict of numbers")
        })?),
    };
    if let Some(weights) = weights {
        for name in weights.keys().iter() {
            if !queries.contains(&name)? {
                let reason = format!("there is a weight for {name}, but no query");
                return Err(Kind::Argument.error(reason));
            }
        }
    }
    Ok(move |name: &str| match weights.map(|weights| weights.get_item(name)).transpose()? {
        Some(Some(weight)) => weight.extract(),
        _ => Ok(1.0),
    })
}
