//! Long operations: without the GIL, with progress, and interrupted by Ctrl-C.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use sst_format::monitor::{CancelToken, Monitor, Phase, Progress};

use crate::errors::Error;
use crate::fork::Epoch;
use crate::memory::beside;

/// Time between two looks for signals.
const POLL: Duration = Duration::from_millis(20);

/// The note of an exception that could not stop an operation any more.
const TOO_LATE: &str = "it came too late to stop what was under way, which has succeeded";

/// The last progress that a thread has reported, for the thread that tells Python.
type Latest = Arc<Mutex<Option<Progress>>>;

/// How far a long operation is.
#[pyclass(frozen, module = "sst_files", name = "Progress", get_all)]
pub(crate) struct PyProgress {
    /// What is being done: `read`, `write`, `merge`, `verify`, `certify`, `copy`, `publish` …
    phase: &'static str,
    /// Entries done in this phase.
    entries: u64,
    /// Bytes done in this phase.
    bytes: u64,
    /// Entries of this phase, if that is known.
    total_entries: Option<u64>,
    /// Bytes of this phase, if that is known.
    total_bytes: Option<u64>,
}

#[pymethods]
impl PyProgress {
    fn __repr__(&self) -> String {
        format!("Progress(phase={:?}, entries={}, bytes={})", self.phase, self.entries, self.bytes)
    }
}

const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Read => "read",
        Phase::Write => "write",
        Phase::Count => "count",
        Phase::Merge => "merge",
        Phase::Compare => "compare",
        Phase::Verify => "verify",
        Phase::Certify => "certify",
        Phase::Adopt => "adopt",
        Phase::Copy => "copy",
        Phase::Publish => "publish",
        _ => "work",
    }
}

impl From<Progress> for PyProgress {
    fn from(progress: Progress) -> Self {
        let Progress { phase, entries, bytes, total_entries, total_bytes, .. } = progress;
        Self { phase: phase_name(phase), entries, bytes, total_entries, total_bytes }
    }
}

/// What observes an operation: the argument `progress=` of a call.
pub(crate) struct Observer {
    /// A function of one [`PyProgress`].
    callback: Option<Py<PyAny>>,
    latest: Latest,
    pub(crate) monitor: Monitor,
}

impl Observer {
    /// `progress` is `None`, a function, a bar of tqdm, or `True` for a new one.
    pub(crate) fn new(progress: Option<&Bound<'_, PyAny>>) -> Result<Self, Error> {
        let callback = match progress {
            Some(progress) if !progress.is_none() => {
                let adapter = progress.py().import("sst_files._progress")?.getattr("callback")?;
                let callback = adapter.call1((progress,))?;
                (!callback.is_none()).then(|| callback.unbind())
            }
            _ => None,
        };
        let latest = Latest::default();
        let mut monitor = Monitor::default().cancel(CancelToken::default());
        if callback.is_some() {
            let slot = Arc::clone(&latest);
            // The lock guards one value, which a panic leaves whole.
            monitor = monitor.progress(move |progress| {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
            });
        }
        Ok(Self { callback, latest, monitor })
    }

    /// Runs handlers of signals, and tells Python how far the operation is. An exception of either
    /// is to end the operation.
    pub(crate) fn poll(&self, py: Python<'_>) -> PyResult<()> {
        py.check_signals()?;
        self.tell(py)
    }

    /// Tells Python how far the operation is.
    fn tell(&self, py: Python<'_>) -> PyResult<()> {
        let Some(callback) = &self.callback else { return Ok(()) };
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner).take();
        match latest {
            Some(progress) => callback.call1(py, (PyProgress::from(progress),)).map(drop),
            None => Ok(()),
        }
    }

    /// Runs `work` on another thread, without the GIL, and polls meanwhile. If Ctrl-C or the
    /// callback raises an exception, the work is cancelled, and the exception is the result; it has
    /// a note if the work succeeds all the same. In a child that the callback forks, the result is
    /// [`Error::Forked`].
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Monitor) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let (monitor, epoch) = (&self.monitor, Epoch::now());
        let is_done = Arc::new(AtomicBool::new(false));
        let ending = Ending { is_done: Arc::clone(&is_done), waiting: thread::current() };
        let work = move || {
            let _ending = ending;
            work(monitor)
        };
        let poll_until_done = || {
            let mut raised = None;
            while !is_done.load(Ordering::Acquire) && epoch.is_now() {
                py.detach(|| thread::park_timeout(POLL));
                if raised.is_none()
                    && let Err(error) = self.poll(py)
                {
                    monitor.token().cancel();
                    raised = Some(error);
                }
            }
            raised
        };
        let ran = beside(work, poll_until_done);
        let (raised, done) =
            ran.map_err(|error| Error::io("start", Path::new("a thread"), error))?;
        match (raised, done) {
            (Some(raised), done) => {
                if let Some(Ok(_)) = done {
                    raised.value(py).call_method1(intern!(py, "add_note"), (TOO_LATE,))?;
                }
                Err(raised.into())
            }
            (None, Some(Ok(done))) => {
                // Signals are for the code behind the call: the work is done.
                if let Err(raised) = self.tell(py) {
                    raised.value(py).call_method1(intern!(py, "add_note"), (TOO_LATE,))?;
                    return Err(raised.into());
                }
                Ok(done)
            }
            (None, Some(Err(error))) => Err(error),
            (None, None) if !epoch.is_now() => Err(Error::Forked("operation")),
            (None, None) => Err(Error::Internal("no operation panics")),
        }
    }
}

/// Wakes the thread that waits when the work has ended, also by a panic.
struct Ending {
    is_done: Arc<AtomicBool>,
    waiting: Thread,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Release);
        self.waiting.unpark();
    }
}
