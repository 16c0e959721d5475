//! Searches by words, and by words and meaning at once.

use database::{Filter, Fusion, Language, SearchOptions, TextQuery};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::collection::Collection;
use crate::errors::{Kind, OrRaise};
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
    pub(crate) group_by: Option<&'a str>,
}

impl Settings<'_> {
    /// Refuses what the mode would not heed.
    pub(crate) fn check(&self, mode: Mode, options: &SearchOptions<'_>) -> PyResult<()> {
        let refused = |name: &str, modes: &str| {
            Err(Kind::Argument.error(format!("{name} needs mode={modes}")))
        };
        match mode {
            Mode::Dense if self.language.is_some() => refused("language", "\"text\" or \"hybrid\""),
            Mode::Dense | Mode::Text if self.weights.is_some() => refused("weights", "\"hybrid\""),
            Mode::Text | Mode::Hybrid if self.group_by.is_some() => {
                refused("group_by", "\"dense\"")
            }
            Mode::Text | Mode::Hybrid if options.within.is_some() => refused("within", "\"dense\""),
            Mode::Text if options.exact || options.effort.is_some() => {
                refused("exact or effort", "\"dense\" or \"hybrid\"")
            }
            _ => Ok(()),
        }
    }
}

/// Searches for the words of a text, and in [`Mode::Hybrid`] also for its meaning.
pub(crate) fn search(
    collection: &Collection,
    query: &Bound<'_, PyAny>,
    mode: Mode,
    settings: &Settings<'_>,
    options: &SearchOptions<'_>,
    offset: usize,
) -> PyResult<Vec<Hit>> {
    let py = query.py();
    let Ok(text) = query.cast::<PyString>() else {
        return Err(Kind::Argument.error("a search by words needs a text, not a vector"));
    };
    let language = Language::parse(settings.language.unwrap_or("en")).or_raise()?;
    let words = TextQuery::new(text.to_str()?, language);
    let inner = &collection.inner;
    let hits = if mode == Mode::Text {
        let filter: Option<&Filter> = options.filter;
        threads::run(py, || inner.search_text(&words, filter, offset, options.limit))?.or_raise()?
    } else {
        let default = Fusion::default();
        let (dense, text) = settings.weights.unwrap_or((default.dense, default.text));
        let fusion = Fusion { dense, text, ..default };
        let vector = collection.vectors(query)?.values;
        let search = || inner.search_hybrid(&vector, &words, options, &fusion, offset);
        threads::run(py, search)?.or_raise()?
    };
    let hit = |hit: database::Hit| {
        let highlights = hit.text.as_deref().map(|text| words.highlights(text));
        Hit::with_highlights(hit, highlights.unwrap_or_default())
    };
    Ok(hits.into_iter().map(hit).collect())
}
