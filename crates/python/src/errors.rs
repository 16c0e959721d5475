//! Rust errors to the exceptions of `rust_ai_core.errors`, one for one.

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// An exception class of `rust_ai_core.errors`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Argument,
    Closed,
    Corrupt,
    Dimension,
    Filter,
    Forked,
    Locked,
    Model,
    NonFinite,
    NotFound,
    Parse,
    ReadOnly,
    Schema,
    Storage,
    Version,
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Kind::Argument => "ArgumentError",
            Kind::Closed => "ClosedError",
            Kind::Corrupt => "CorruptError",
            Kind::Dimension => "DimensionError",
            Kind::Filter => "FilterError",
            Kind::Forked => "ForkedError",
            Kind::Locked => "LockedError",
            Kind::Model => "ModelError",
            Kind::NonFinite => "NonFiniteError",
            Kind::NotFound => "NotFoundError",
            Kind::Parse => "ParseError",
            Kind::ReadOnly => "ReadOnlyError",
            Kind::Schema => "SchemaError",
            Kind::Storage => "StorageError",
            Kind::Version => "VersionError",
        }
    }

    /// The exception, ready to be raised.
    pub(crate) fn error(self, message: impl Into<String>) -> PyErr {
        let message = message.into();
        Python::attach(|py| {
            let class = py.import("rust_ai_core.errors").and_then(|m| m.getattr(self.class()));
            match class.and_then(|class| class.call1((message,))) {
                Ok(exception) => PyErr::from_value(exception),
                Err(error) => error,
            }
        })
    }
}

/// Gives an error of another crate the exception that a Python person would catch.
pub(crate) trait IntoPyErr {
    fn into_py_err(self) -> PyErr;
}

impl IntoPyErr for database::Error {
    fn into_py_err(self) -> PyErr {
        use database::Error;
        let kind = match &self {
            Error::Closed => Kind::Closed,
            Error::Corrupt { .. } => Kind::Corrupt,
            Error::Dimension { .. } | Error::FieldDimension { .. } => Kind::Dimension,
            Error::Filter(_) => Kind::Filter,
            Error::Forked { .. } => Kind::Forked,
            Error::Locked { .. } => Kind::Locked,
            Error::Io { .. } | Error::Poisoned { .. } | Error::NotADatabase { .. } => Kind::Storage,
            Error::NotFound { .. } => Kind::NotFound,
            Error::ReadOnly { .. } => Kind::ReadOnly,
            Error::Version { .. } => Kind::Version,
            Error::InvalidName { .. } | Error::InvalidArgument(_) => Kind::Argument,
            Error::NonFinite { .. } | Error::FieldNonFinite { .. } => Kind::NonFinite,
            Error::SchemaMismatch { .. } => Kind::Schema,
            Error::Interrupted { .. } => return PyKeyboardInterrupt::new_err(self.to_string()),
        };
        kind.error(self.to_string())
    }
}

impl IntoPyErr for inference::Error {
    fn into_py_err(self) -> PyErr {
        match self {
            inference::Error::Interrupted { .. } => PyKeyboardInterrupt::new_err(self.to_string()),
            inference::Error::Limit(_) => Kind::Argument.error(self.to_string()),
            _ => Kind::Model.error(self.to_string()),
        }
    }
}

/// `?` on results of the other crates.
pub(crate) trait OrRaise<T> {
    fn or_raise(self) -> PyResult<T>;
}

impl<T, E: IntoPyErr> OrRaise<T> for Result<T, E> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(IntoPyErr::into_py_err)
    }
}
