//! Searches by words, and by words and meaning at once.

use std::sync::Arc;

use database::{Fusion, GroupBy, Key, Language, SearchOptions, TextQuery};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::collection::Collection;
use crate::damage;
use crate::errors::{Kind, OrRaise};
use crate::queries;
use crate::record::Hit;
use crate::threads;

/// What a search goes by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Dense,
    Text,
    Hybrid,
}

impl Mode {
    pub(crate) fn parse(name: &str) -> PyResult<Mode> {
        match name {
            "dense" => Ok(Mode::Dense),
            "text" => Ok(Mode::Text),
            "hybrid" => Ok(Mode::Hybrid),
            other => Err(Kind::Argument
                .error(format!("mode is \"dense\", \"text\" or \"hybrid\", not {other:?}"))),
        }
    }
}

/// The arguments of a search that not every mode takes, where they are given.
pub(crate) struct Settings<'a> {
    pub(crate) language: Option<&'a str>,
    pub(crate) weights: Option<(f32, f32)>,
    /// The constant of the fusion.
    pub(crate) fusion_k: Option<f32>,
    /// What is searched by words, and what each counts.
    pub(crate) fields: Option<Vec<(Option<Key>, f32)>>,
}

impl Settings<'_> {
    /// Refuses what the mode would not heed.
    pub(crate) fn check(&self, mode: Mode, options: &SearchOptions<'_>) -> PyResult<()> {
        let refused = |name: &str, modes: &str| {
            Err(Kind::Argument.error(format!("{name} needs mode={modes}")))
        };
        match mode {
            Mode::Dense if self.language.is_some() => refused("language", "\"text\" or \"hybrid\""),
            Mode::Dense if self.fields.is_some() => refused("fields", "\"text\" or \"hybrid\""),
            Mode::Dense | Mode::Text if self.weights.is_some() => refused("weights", "\"hybrid\""),
            Mode::Dense | Mode::Text if self.fusion_k.is_some() => {
                refused("fusion_k", "\"hybrid\"")
            }
            Mode::Text if options.exact || options.effort.is_some() => {
                refused("exact or effort", "\"dense\" or \"hybrid\"")
            }
            _ => Ok(()),
        }
    }
}

/// What is searched by words: `{"title": 2.0, "text": 1.0}`, where "text" stands for the texts.
pub(crate) fn fields(weights: &Bound<'_, PyDict>) -> PyResult<Vec<(Option<Key>, f32)>> {
    let field = |(name, weight): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
        let name: String = name.extract()?;
        if name.starts_with('$') {
            let reason = format!("fields are \"text\" and metadata keys, not {name:?}");
            return Err(Kind::Argument.error(reason));
        }
        let key = if name == "text" { None } else { Some(queries::key(&name)?) };
        Ok((key, weight.extract()?))
    };
    weights.iter().map(field).collect()
}

/// Searches for the words of a text, and in [`Mode::Hybrid`] also for its meaning.
pub(crate) fn search(
    collection: &Collection,
    query: &Bound<'_, PyAny>,
    mode: Mode,
    settings: Settings<'_>,
    options: &SearchOptions<'_>,
    group_by: Option<&GroupBy<'_>>,
    offset: usize,
) -> PyResult<Vec<Hit>> {
    let py = query.py();
    let Ok(text) = query.cast::<PyString>() else {
        return Err(Kind::Argument.error("a search by words needs a text, not a vector"));
    };
    let language = Language::parse(settings.language.unwrap_or("en")).or_raise()?;
    let mut words = TextQuery::new(text.to_str()?, language);
    if let Some(fields) = settings.fields {
        words = words.in_fields(fields).or_raise()?;
    }
    let inner = &collection.inner;
    let hits = if mode == Mode::Text {
        let search = || inner.search_text_by(&words, options, group_by, offset);
        threads::run(py, search)?.or_raise()?
    } else {
        let default = Fusion::default();
        let (dense, text) = settings.weights.unwrap_or((default.dense, default.text));
        let constant = settings.fusion_k.unwrap_or(default.constant);
        let fusion = Fusion { dense, text, constant };
        let vector = collection.vectors(query)?.values;
        let search = || inner.search_hybrid(&vector, &words, options, &fusion, group_by, offset);
        threads::run(py, search)?.or_raise()?
    };
    damage::warn(py, inner)?;
    let words = Arc::new(words);
    Ok(hits.into_iter().map(|hit| Hit::of_words(hit, &words)).collect())
}
