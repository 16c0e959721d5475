//! What is damaged in a collection: warnings, and the list of it.

use std::ffi::CString;

use database::{Collection, DamagedFile};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::convert;
use crate::errors::OrRaise;

fn sentence(collection: &str, file: &DamagedFile) -> String {
    let (offset, what) = match file.problems.first() {
        Some((offset, what)) => (*offset, what.as_str()),
        None => (0, "something is wrong"),
    };
    let place = format!("{} is damaged at byte {offset}: {what}", file.file.display());
    let records = match file.lost_records {
        None => "an unknown number of records".to_owned(),
        Some(1) => "1 record".to_owned(),
        Some(count) => format!("{count} records"),
    };
    match file.is_loss() {
        true => format!(
            "collection {collection:?}: {records} cannot be read and will not be found; {place}; \
             restore the file from a backup, or give them up with repair(accept_loss=True)"
        ),
        false => {
            let outcome = match &file.kept_as {
                Some(kept) => format!("was written anew; the damaged file is {}", kept.display()),
                None => "is written anew in the background".to_owned(),
            };
            format!("collection {collection:?}: {place}; nothing is lost, and it {outcome}")
        }
    }
}

/// Warns of what is known to be damaged. Python shows each warning once for each line that causes it.
pub(crate) fn warn(py: Python<'_>, collection: &Collection) -> PyResult<()> {
    if !collection.is_damaged() {
        return Ok(());
    }
    for file in py.detach(|| collection.damage()).or_raise()? {
        let class = if file.is_loss() { "LossWarning" } else { "DamageWarning" };
        let class = py.import("rust_ai_core.errors")?.getattr(class)?;
        let message = sentence(collection.name(), &file).replace('\0', "");
        PyErr::warn(py, &class, &CString::new(message)?, 1)?;
    }
    Ok(())
}

/// One dict a file: file, problems, lost_records, lost_ids, kept_as, keeps_closed.
pub(crate) fn to_list<'py>(py: Python<'py>, files: &[DamagedFile]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for file in files {
        let dict = PyDict::new(py);
        dict.set_item("file", file.file.display().to_string())?;
        let problem = |(offset, what): &(u64, String)| format!("byte {offset}: {what}");
        dict.set_item("problems", file.problems.iter().map(problem).collect::<Vec<_>>())?;
        dict.set_item("lost_records", file.lost_records)?;
        let ids = file.lost_ids.iter().map(|id| convert::id_to_python(py, id));
        dict.set_item("lost_ids", PyList::new(py, ids.collect::<PyResult<Vec<_>>>()?)?)?;
        let kept_as = file.kept_as.as_ref().map(|path| path.display().to_string());
        dict.set_item("kept_as", kept_as)?;
        dict.set_item("keeps_closed", file.keeps_closed)?;
        list.append(dict)?;
    }
    Ok(list)
}
