//! The set behind a `Db`: open, closed, or that of the process that this one was forked from.

use std::mem;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use sst_reader::{LiveSet, ReadError, SstSet};

use crate::errors::Error;
use crate::fork::Epoch;
use crate::open_arguments::OpenArguments;

/// A set that a child opens anew at its first use, and that can be closed.
pub(crate) struct OpenSet {
    opened: ArcSwapOption<Opened>,
    arguments: OpenArguments,
}

/// The open set of one process.
struct Opened {
    live: LiveSet,
    epoch: Epoch,
}

impl Drop for OpenSet {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.swap(None)
            && !opened.epoch.is_now()
        {
            // A thread of the parent may hold its locks for ever.
            mem::forget(opened);
        }
    }
}

impl OpenSet {
    pub(crate) fn open(arguments: OpenArguments) -> Result<Self, Error> {
        let live = arguments.open(&arguments.reader_options())?;
        let opened = Opened { live, epoch: Epoch::now() };
        let opened = ArcSwapOption::from_pointee(opened);
        Ok(Self { opened, arguments })
    }

    pub(crate) const fn arguments(&self) -> &OpenArguments {
        &self.arguments
    }

    /// Calls `use_set` with the open set, without the GIL.
    #[inline]
    pub(crate) fn detached<T: Send>(
        &self,
        py: Python<'_>,
        use_set: impl FnOnce(&LiveSet) -> Result<T, ReadError> + Send,
    ) -> Result<T, Error> {
        let opened = self.opened.load();
        match opened.as_deref() {
            Some(opened) if opened.epoch.is_now() => Ok(py.detach(|| use_set(&opened.live))?),
            Some(_) => {
                let opened = self.reopen()?;
                Ok(py.detach(|| use_set(&opened.live))?)
            }
            None => Err(Error::Closed("set")),
        }
    }

    /// Opens the directory again in a child.
    #[cold]
    fn reopen(&self) -> Result<Arc<Opened>, Error> {
        let live = self.arguments.open(&self.arguments.reader_options())?;
        let opened = Arc::new(Opened { live, epoch: Epoch::now() });
        // The set of the parent is left alone: a thread that there is no more may hold its locks.
        mem::forget(self.opened.swap(Some(Arc::clone(&opened))));
        Ok(opened)
    }

    /// The set of the newest commit that was read, for walks: with all its tables open, so that a
    /// later commit can take none away.
    pub(crate) fn snapshot(&self, py: Python<'_>) -> Result<Arc<SstSet>, Error> {
        self.detached(py, |live| {
            live.with(SstSet::open_all)?;
            Ok(live.snapshot())
        })
    }

    /// What `take` makes of the value of a key, if that is in memory.
    #[inline]
    pub(crate) fn ready<T>(
        &self,
        key: &[u8],
        take: impl Fn(Option<&[u8]>) -> T,
    ) -> Result<Option<T>, Error> {
        let opened = self.opened.load();
        let Some(opened) = opened.as_deref().filter(|opened| opened.epoch.is_now()) else {
            return Ok(None);
        };
        Ok(opened.live.with(|set| match set.get_ready(key) {
            Some(found) => found.map(|value| Some(take(value.as_deref()))),
            None => Ok(None),
        })?)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.opened.load().is_none()
    }

    /// Releases the tables. Closing twice is no error.
    pub(crate) fn close(&self, py: Python<'_>) {
        if let Some(opened) = self.opened.swap(None) {
            match opened.epoch.is_now() {
                true => py.detach(|| drop(opened)),
                false => mem::forget(opened),
            }
        }
    }
}
