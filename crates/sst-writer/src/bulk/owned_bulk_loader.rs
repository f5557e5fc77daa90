//! A bulk loader that owns its publisher.

use super::bulk_error::BulkError;
use super::bulk_handle::BulkHandle;
use super::bulk_loader::{BulkSummary, Load};
use super::bulk_options::BulkOptions;
use super::prepared_load::PreparedLoad;
use crate::{Entry, Monitor, Publisher};

/// A [`BulkLoader`](crate::BulkLoader) that owns its publisher, so that a program can keep both in
/// one field. [`Publisher::into_loader`] makes it.
///
/// A load begins with the first record, or with [`OwnedBulkLoader::handle`], and ends with
/// [`OwnedBulkLoader::finish`]. The next record then begins another load with the same options.
///
/// # Examples
///
/// ```
/// use sst_writer::bulk::OwnedBulkLoader;
/// use sst_writer::{BulkError, BulkOptions, Monitor, Publisher, PublisherOptions};
///
/// struct Ingest {
///     loader: OwnedBulkLoader,
/// }
///
/// impl Ingest {
///     fn row(&mut self, id: u64, name: &str) -> Result<(), BulkError> {
///         self.loader.put(id.to_be_bytes(), name)
///     }
/// }
///
/// # let parent = tempfile::tempdir()?;
/// # let directory = parent.path().join("db");
/// let publisher = Publisher::open(&directory, PublisherOptions::default())?;
/// let loader = publisher.into_loader(BulkOptions::default(), &Monitor::default());
/// let mut ingest = Ingest { loader };
/// ingest.row(7, "seven")?;
/// ingest.row(8, "eight")?;
/// assert_eq!(ingest.loader.finish()?.entries, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OwnedBulkLoader {
    // Before the publisher, so that handles end before the lock of the directory is released.
    load: Option<Load>,
    publisher: Publisher,
    options: BulkOptions,
    monitor: Monitor,
}

impl Publisher {
    /// A bulk loader that owns this publisher, so that both fit into one field.
    /// [`OwnedBulkLoader::into_publisher`] gives it back. `monitor` observes and cancels all loads.
    #[must_use]
    pub fn into_loader(self, options: BulkOptions, monitor: &Monitor) -> OwnedBulkLoader {
        OwnedBulkLoader { load: None, publisher: self, options, monitor: monitor.clone() }
    }
}

impl OwnedBulkLoader {
    /// The load that is going on, begun if there is none.
    fn load(&mut self) -> Result<&mut Load, BulkError> {
        let load = match self.load.take() {
            Some(load) => load,
            None => Load::new(&self.publisher, self.options.clone(), self.monitor.clone())?,
        };
        Ok(self.load.insert(load))
    }

    /// A handle through which another thread puts records: see
    /// [`BulkLoader::handle`](crate::BulkLoader::handle).
    ///
    /// # Errors
    ///
    /// As [`BulkLoader::new`](crate::BulkLoader::new), if this begins the load.
    pub fn handle(&mut self, stream: u64) -> Result<BulkHandle, BulkError> {
        Ok(self.load()?.handle(stream))
    }

    /// Puts a record, through a handle of the loader's own: that of stream 0.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put`]; as [`BulkLoader::new`](crate::BulkLoader::new), if this begins the
    /// load.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), BulkError> {
        self.load()?.own_handle().put(key, value)
    }

    /// Puts a record that deletes its key, as [`OwnedBulkLoader::put`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<(), BulkError> {
        self.load()?.own_handle().delete(key)
    }

    /// Puts entries, as [`OwnedBulkLoader::put`] does.
    ///
    /// # Errors
    ///
    /// As [`BulkHandle::put_entry`].
    pub fn extend<E: Entry>(
        &mut self,
        entries: impl IntoIterator<Item = E>,
    ) -> Result<(), BulkError> {
        self.load()?.own_handle().extend(entries)
    }

    /// Publishes the load: see [`BulkLoader::finish`](crate::BulkLoader::finish). Without records
    /// it publishes a commit without tables.
    ///
    /// # Errors
    ///
    /// As there. The load is gone after an error too, and the next record begins another.
    pub fn finish(&mut self) -> Result<BulkSummary, BulkError> {
        self.prepare()?.publish()
    }

    /// Writes the load to a commit that is not visible yet: see
    /// [`BulkLoader::prepare`](crate::BulkLoader::prepare).
    ///
    /// # Errors
    ///
    /// As [`OwnedBulkLoader::finish`].
    pub fn prepare(&mut self) -> Result<PreparedLoad<'_>, BulkError> {
        let load = match self.load.take() {
            Some(load) => load,
            None => Load::new(&self.publisher, self.options.clone(), self.monitor.clone())?,
        };
        load.prepare(&mut self.publisher)
    }

    /// The options of the next load. A load that is going on keeps its own.
    #[must_use]
    pub const fn options(&mut self) -> &mut BulkOptions {
        &mut self.options
    }

    /// The publisher.
    #[must_use]
    pub const fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// The publisher back. A load that is going on is abandoned.
    #[must_use]
    pub fn into_publisher(self) -> Publisher {
        self.publisher
    }
}
