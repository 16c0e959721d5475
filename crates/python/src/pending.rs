//! What an event loop needs to await the scheduler: see `rust_ai_core/awaiting.py`.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inference::EmbeddingCall;
use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use crate::convert;
use crate::errors::{Kind, OrRaise};
use crate::shared_encoder::{SharedEncoder, with_prompt};

/// A file descriptor that becomes readable when calls have finished. Workers write to it and never
/// touch Python; an event loop watches it.
#[pyclass(module = "rust_ai_core._core", name = "_Wakeup", frozen)]
pub(crate) struct Wakeup {
    reader: UnixStream,
    bell: Arc<Bell>,
}

struct Bell {
    writer: UnixStream,
    finished: Mutex<Vec<u64>>,
}

impl Bell {
    fn finished(&self) -> MutexGuard<'_, Vec<u64>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, token: u64) {
        self.finished().push(token);
        // Where the buffer is full, the loop has bytes enough to wake up by.
        let _ = (&self.writer).write(&[1]);
    }
}

#[pymethods]
impl Wakeup {
    #[new]
    fn new() -> PyResult<Wakeup> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Wakeup { reader, bell: Arc::new(Bell { writer, finished: Mutex::default() }) })
    }

    fn fileno(&self) -> i32 {
        self.reader.as_raw_fd()
    }

    /// The tokens of the calls that finished since it was last asked.
    fn drain(&self) -> Vec<u64> {
        let mut bytes = [0; 4096];
        while matches!((&self.reader).read(&mut bytes), Ok(count) if count == bytes.len()) {}
        std::mem::take(&mut self.bell.finished())
    }
}

enum State {
    /// Texts are coming in.
    Filling(Vec<String>),
    /// The scheduler has it.
    Running(EmbeddingCall),
    /// The result was taken, or nobody wants it.
    Over,
}

/// Texts to encode, given piece by piece, and then their vectors.
#[pyclass(module = "rust_ai_core._core", name = "_Pending", frozen)]
pub(crate) struct Pending {
    encoder: Arc<SharedEncoder>,
    prompt: String,
    state: Mutex<State>,
}

impl Pending {
    pub(crate) fn new(encoder: Arc<SharedEncoder>, prompt: String) -> Pending {
        Pending { encoder, prompt, state: Mutex::new(State::Filling(Vec::new())) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn misused() -> PyErr {
    Kind::Argument.error("a pending call is filled, started and taken, in this order, once")
}

#[pymethods]
impl Pending {
    /// Adds texts.
    fn extend(&self, texts: &Bound<'_, PyAny>) -> PyResult<()> {
        match &mut *self.state() {
            State::Filling(so_far) => {
                let texts = convert::texts_from(texts, so_far.len())?;
                so_far.extend(with_prompt(texts, &self.prompt));
                Ok(())
            }
            _ => Err(misused()),
        }
    }

    /// Hands the texts to the scheduler; `wakeup` will give `token` when they are done.
    fn start(&self, wakeup: &Bound<'_, Wakeup>, token: u64) -> PyResult<()> {
        let mut state = self.state();
        let State::Filling(texts) = std::mem::replace(&mut *state, State::Over) else {
            return Err(misused());
        };
        let bell = wakeup.get().bell.clone();
        let on_finish = Box::new(move || bell.ring(token));
        let call = self.encoder.service()?.submit_now(texts, on_finish);
        *state = State::Running(call);
        Ok(())
    }

    /// The vectors of a finished call.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let State::Running(call) = std::mem::replace(&mut *self.state(), State::Over) else {
            return Err(misused());
        };
        let count = call.texts();
        call.take().or_raise()?.into_pyarray(py).reshape([count, self.encoder.dimension()])
    }

    /// Drops what has not begun.
    fn cancel(&self) {
        *self.state() = State::Over;
    }
}
