//! A place for a directory in a store.

use std::ops::Range;
use std::path::Path as FilePath;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::{Either, select};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload, UpdateVersion,
};
use sst_format::monitor::{Cancelled, Monitor};

use self::answer::{collect, too_long};
use crate::retry::{Failure, LOCAL_FILES, is_forbidden, is_missing_bucket, is_out_of_range};
use crate::{Operation, RetryPolicy, StoreError};

mod answer;

pub(crate) use answer::{ListedObject, Object, ObjectStart, Written};
#[cfg(feature = "read")]
pub(crate) use answer::{ObjectEnd, ObjectVersion};

/// A directory in an object store: a store, and the path of the directory in it.
///
/// Objects have the names that files have in a directory (FORMAT.md section 14). A clone is cheap,
/// and uses the same connections.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use object_store::memory::InMemory;
/// use sst_object_store::Store;
///
/// let store = Store::new(Arc::new(InMemory::new()), "memory:///", "fruit.db")?;
/// assert_eq!(store.name(), "memory:///fruit.db");
/// # Ok::<(), sst_object_store::StoreError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The same store, through a client that repeats the parts of uploads.
    uploads: Arc<dyn ObjectStore>,
    root: Path,
    /// The URL, for messages.
    name: Arc<str>,
    retries: RetryPolicy,
    is_read_only: bool,
    has_lists: bool,
    /// The directory of the file system, if the store is one.
    directory: Option<Arc<FilePath>>,
    /// Ends requests that change nothing, and their repetitions, when it is cancelled.
    monitor: Monitor,
}

/// Whether a request has failed because there is no such object. Without its bucket it is unknown
/// what is there.
fn is_missing(failure: &Failure) -> bool {
    matches!(failure.error, Error::NotFound { .. }) && !is_missing_bucket(&failure.error)
}

/// How often a wait looks whether it was cancelled.
pub(crate) const CANCEL_CHECK: Duration = Duration::from_millis(50);

/// The store that errors of cancelled requests name.
const CANCELLED: &str = "cancelled";

impl Store {
    /// The directory `path` of a store; the empty path is its root. `name` is the URL of the store
    /// for messages.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadUrl`] if `path` has parts that no object may have, such as `..`.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        name: impl AsRef<str>,
        path: impl AsRef<str>,
    ) -> Result<Self, StoreError> {
        let (name, path) = (name.as_ref().trim_end_matches('/'), path.as_ref());
        let url =
            if name.ends_with(':') { format!("{name}///{path}") } else { format!("{name}/{path}") };
        let root = Path::parse(path)
            .map_err(|error| StoreError::BadUrl { url: url.clone(), source: error.into() })?;
        let name = url.trim_end_matches('/').into();
        let (uploads, retries) = (Arc::clone(&objects), RetryPolicy::default());
        Ok(Self {
            objects,
            uploads,
            root,
            name,
            retries,
            is_read_only: false,
            has_lists: true,
            directory: None,
            monitor: Monitor::default(),
        })
    }

    /// A directory of the file system, which exists, for reading. To write into a directory, use
    /// [`Place::Directory`](crate::Place::Directory).
    ///
    /// # Errors
    ///
    /// [`StoreError::BadUrl`] if there is no such directory.
    pub fn from_directory(directory: impl AsRef<FilePath>) -> Result<Self, StoreError> {
        let directory = directory.as_ref();
        let bad = |source| StoreError::BadUrl { url: directory.display().to_string(), source };
        if !directory.is_dir() {
            return Err(bad("there is no such directory".into()));
        }
        let objects =
            LocalFileSystem::new_with_prefix(directory).map_err(|error| bad(error.into()))?;
        let objects: Arc<dyn ObjectStore> = Arc::new(objects);
        Ok(Self {
            uploads: Arc::clone(&objects),
            objects,
            root: Path::default(),
            name: directory.display().to_string().into(),
            retries: RetryPolicy::default(),
            is_read_only: true,
            has_lists: true,
            directory: Some(directory.into()),
            monitor: Monitor::default(),
        })
    }

    /// Sets how failed requests are repeated.
    #[must_use]
    pub const fn retries(mut self, retries: RetryPolicy) -> Self {
        self.retries = retries;
        self
    }

    /// Sets the client for uploads in parts: one of the same store that repeats single parts.
    /// Without it, a part that fails makes a mirror start the file again.
    #[must_use]
    pub fn uploads(mut self, uploads: Arc<dyn ObjectStore>) -> Self {
        self.uploads = uploads;
        self
    }

    /// The same store, whose requests that only read end when the monitor is cancelled.
    #[cfg(feature = "mirror")]
    pub(crate) fn monitored(&self, monitor: &Monitor) -> Self {
        Self { monitor: monitor.clone(), ..self.clone() }
    }

    /// Makes a request that changes nothing until it succeeds, fails for good, has failed often
    /// enough, or is cancelled.
    async fn request<T, F: Future<Output = Result<T, Error>>>(
        &self,
        request: impl FnMut() -> F,
    ) -> Result<T, Failure> {
        let cancelled = async {
            while let Ok(()) = self.monitor.check() {
                tokio::time::sleep(CANCEL_CHECK).await;
            }
        };
        match select(pin!(self.retries.run(request)), pin!(cancelled)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => {
                let error = Error::Generic { store: CANCELLED, source: Cancelled.into() };
                Err(Failure { attempts: 0, error })
            }
        }
    }

    /// Makes the store refuse to be written to and to be listed.
    #[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
    #[must_use]
    pub(crate) const fn only_gets(mut self) -> Self {
        (self.is_read_only, self.has_lists) = (true, false);
        self
    }

    /// How failed requests are repeated.
    pub(crate) const fn policy(&self) -> &RetryPolicy {
        &self.retries
    }

    /// Whether it is a directory of the file system.
    #[cfg(feature = "mirror")]
    pub(crate) const fn is_directory(&self) -> bool {
        self.directory.is_some()
    }

    /// The URL of the directory, or its path, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An object of the directory, for messages.
    pub(crate) fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    fn path(&self, name: &str) -> Path {
        let parts = self.root.parts().chain(name.split('/').map(Into::into));
        Path::from_iter(parts)
    }

    fn failed(&self, operation: Operation, name: &str, failure: Failure) -> StoreError {
        let Failure { attempts, error } = failure;
        let object = self.object(name);
        match error {
            error if is_missing_bucket(&error) => self.no_bucket(),
            // An object that is written, removed or listed need not be there: it is the answer that
            // is wrong. For example, an upload in parts was ended by another.
            Error::NotFound { .. } if operation == Operation::Read => {
                StoreError::Missing { object }
            }
            Error::Generic { store: CANCELLED, .. } => StoreError::Cancelled,
            error if operation == Operation::List && is_forbidden(&error) => {
                let (place, source) = (self.name.to_string(), error.into());
                StoreError::NoListing { place, source }
            }
            error => StoreError::Request { object, operation, attempts, source: error.into() },
        }
    }

    fn no_bucket(&self) -> StoreError {
        StoreError::NoBucket { place: self.name.to_string() }
    }

    /// Fails if the store can only be read.
    pub(crate) fn check_writable(&self) -> Result<(), StoreError> {
        if self.is_read_only {
            return Err(StoreError::ReadOnly { place: self.name.to_string() });
        }
        Ok(())
    }

    /// Fails if a directory of the file system has something else than a regular file under a name:
    /// opening a pipe waits for its other end, and a device may have no end.
    fn check_regular(&self, name: &str) -> Result<(), StoreError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        match std::fs::metadata(directory.join(name)) {
            Ok(metadata) if !metadata.is_file() => {
                Err(StoreError::NotAFile { object: self.object(name) })
            }
            // Opening the file gives the error, if there is one.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Opens a file of a directory of the file system; `None` if the store is none.
    #[cfg(feature = "mirror")]
    pub(crate) fn open_local(&self, name: &str) -> Result<Option<std::fs::File>, StoreError> {
        let Some(directory) = &self.directory else { return Ok(None) };
        self.check_regular(name)?;
        let opened = std::fs::File::open(directory.join(name));
        opened.map(Some).map_err(|error| self.local_failed(name, error))
    }

    /// The error of a read of a file of a directory of the file system.
    #[cfg(feature = "mirror")]
    pub(crate) fn local_failed(&self, name: &str, error: std::io::Error) -> StoreError {
        let error = match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::NotFound { path: name.to_owned(), source: error.into() }
            }
            _ => Error::Generic { store: LOCAL_FILES, source: error.into() },
        };
        self.failed(Operation::Read, name, Failure { attempts: 1, error })
    }

    /// Makes a request for a range of an object, and collects its answer. `None` if there is no
    /// such object. The bytes are empty if the object ends before the range.
    async fn get_range(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> Result<Option<(Bytes, object_store::ObjectMeta)>, StoreError> {
        self.check_regular(name)?;
        let (start, limit) = (range.start, range.end - range.start);
        let options = GetOptions::new().with_range(Some(range));
        let failure = match self.try_get(name, options, limit).await {
            Ok(answer) => return Ok(Some(answer)),
            Err(failure) if is_missing(&failure) => return Ok(None),
            Err(failure) => failure,
        };
        if is_out_of_range(&failure.error) {
            let path = self.path(name);
            let meta = self.request(|| self.objects.head(&path)).await;
            let meta = meta.map_err(|failure| self.failed(Operation::Read, name, failure))?;
            if meta.size <= start {
                return Ok(Some((Bytes::new(), meta)));
            }
        }
        Err(self.failed(Operation::Read, name, failure))
    }

    /// Makes a request, and collects its answer. An answer of more than `limit` bytes is refused
    /// before its bytes are read, as [`Error::Precondition`].
    async fn try_get(
        &self,
        name: &str,
        options: GetOptions,
        limit: u64,
    ) -> Result<(Bytes, object_store::ObjectMeta), Failure> {
        let path = self.path(name);
        let request = || async {
            let options = options.clone();
            let answer = self.objects.get_opts(&path, options).await?;
            let GetResult { meta, range, .. } = &answer;
            let (meta, expected) = (meta.clone(), range.end - range.start);
            if expected > limit {
                return Err(too_long(&path, expected, limit));
            }
            let bytes = collect(answer, expected).await?;
            let found = bytes.len() as u64;
            if found != expected {
                let source = format!("{found} of {expected} bytes have arrived").into();
                return Err(Error::Generic { store: "answer", source });
            }
            Ok((bytes, meta))
        };
        self.request(request).await
    }

    /// Reads the last `len` bytes of an object, or all of a shorter one.
    #[cfg(feature = "read")]
    pub(crate) async fn read_end(&self, name: &str, len: u64) -> Result<ObjectEnd, StoreError> {
        let options = GetOptions::new().with_range(Some(GetRange::Suffix(len)));
        self.check_regular(name)?;
        match self.try_get(name, options, len).await {
            Ok((bytes, meta)) => Ok(ObjectEnd { bytes, version: ObjectVersion::of(meta) }),
            // Azure has no such requests, and an empty object has no last bytes.
            Err(Failure { error, .. })
                if matches!(error, Error::NotSupported { .. }) || is_out_of_range(&error) =>
            {
                let path = self.path(name);
                let found = self.request(|| self.objects.head(&path)).await;
                let found = found.map_err(|failure| self.failed(Operation::Read, name, failure))?;
                let version = ObjectVersion::of(found);
                let range = version.len.saturating_sub(len)..version.len;
                let bytes = self.read_version(name, range, &version).await?;
                Ok(ObjectEnd { bytes, version })
            }
            Err(failure) => Err(self.failed(Operation::Read, name, failure)),
        }
    }

    /// Reads a range of an object that has this version.
    ///
    /// # Errors
    ///
    /// [`StoreError::Changed`] if it has another one.
    #[cfg(feature = "read")]
    pub(crate) async fn read_version(
        &self,
        name: &str,
        range: Range<u64>,
        version: &ObjectVersion,
    ) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let expected = range.end - range.start;
        let options = GetOptions::new().with_range(Some(range)).with_if_match(version.condition());
        let changed = || StoreError::Changed { object: self.object(name) };
        self.check_regular(name)?;
        match self.try_get(name, options, expected).await {
            Ok((bytes, meta)) => {
                let is_same = ObjectVersion::of(meta).is(version) && bytes.len() as u64 == expected;
                if is_same { Ok(bytes) } else { Err(changed()) }
            }
            Err(Failure { error: Error::Precondition { .. }, .. }) => Err(changed()),
            Err(failure) => Err(self.failed(Operation::Read, name, failure)),
        }
    }

    /// Whether its objects can be listed.
    pub(crate) const fn has_lists(&self) -> bool {
        self.has_lists
    }

    /// Reads an object of at most `limit` bytes whole. `None` if there is no such object.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLong`] for a longer one, of which nothing is read.
    pub(crate) async fn read(&self, name: &str, limit: u64) -> Result<Option<Object>, StoreError> {
        self.check_regular(name)?;
        match self.try_get(name, GetOptions::new(), limit).await {
            Ok((bytes, meta)) => Ok(Some(Object {
                bytes,
                version: UpdateVersion { e_tag: meta.e_tag, version: meta.version },
                modified: meta.last_modified.into(),
            })),
            Err(failure) if is_missing(&failure) => Ok(None),
            // The request has no condition, so this is the refusal of a long answer.
            Err(Failure { error: Error::Precondition { .. }, .. }) => {
                Err(StoreError::TooLong { object: self.object(name), limit })
            }
            Err(failure) => Err(self.failed(Operation::Read, name, failure)),
        }
    }

    /// Reads the first `len` bytes of an object, or all of a shorter one.
    pub(crate) async fn read_start(&self, name: &str, len: u64) -> Result<ObjectStart, StoreError> {
        let answer = self.get_range(name, 0..len).await?;
        let (bytes, meta) =
            answer.ok_or_else(|| StoreError::Missing { object: self.object(name) })?;
        let version = UpdateVersion { e_tag: meta.e_tag, version: meta.version };
        Ok(ObjectStart { bytes, len: meta.size, version })
    }

    /// Reads a range of an object that has `len` bytes.
    pub(crate) async fn read_range(
        &self,
        name: &str,
        range: Range<u64>,
        len: u64,
    ) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let expected = range.end - range.start;
        let answer = self.get_range(name, range).await?;
        let (bytes, meta) =
            answer.ok_or_else(|| StoreError::Missing { object: self.object(name) })?;
        if meta.size != len || bytes.len() as u64 != expected {
            let object = self.object(name);
            return Err(StoreError::WrongLen { object, expected: len, found: meta.size });
        }
        Ok(bytes)
    }

    /// The length of an object; `None` if there is none.
    #[cfg(feature = "publish")]
    pub(crate) async fn len_of(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let path = self.path(name);
        match self.request(|| self.objects.head(&path)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(failure) if is_missing(&failure) => Ok(None),
            Err(failure) => Err(self.failed(Operation::Read, name, failure)),
        }
    }

    /// Lists the objects below the directory or, with `folder`, below one of its folders.
    pub(crate) async fn list(&self, folder: Option<&str>) -> Result<Vec<ListedObject>, StoreError> {
        let root = folder.map_or_else(|| self.root.clone(), |folder| self.path(folder));
        let request = || self.objects.list(Some(&root)).try_collect::<Vec<_>>();
        let listed = self.request(request).await;
        let listed = listed
            .map_err(|failure| self.failed(Operation::List, folder.unwrap_or(""), failure))?;
        let relative = |object: object_store::ObjectMeta| {
            let parts = object.location.prefix_match(&self.root)?;
            let parts: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
            let (len, modified) = (object.size, object.last_modified.into());
            Some(ListedObject { name: parts.join("/"), len, modified })
        };
        let outside = StoreError::Internal("a store lists objects below the path that it is given");
        listed.into_iter().map(relative).collect::<Option<_>>().ok_or(outside)
    }

    async fn put(
        &self,
        name: &str,
        bytes: &Bytes,
        mode: PutMode,
    ) -> Result<UpdateVersion, Failure> {
        let path = self.path(name);
        let request = || {
            let options = PutOptions::from(mode.clone());
            self.objects.put_opts(&path, PutPayload::from(bytes.clone()), options)
        };
        Ok(self.retries.run(request).await?.into())
    }

    /// Writes an object if there is none of its name.
    pub(crate) async fn create(&self, name: &str, bytes: Bytes) -> Result<Written, StoreError> {
        self.write_if(name, bytes, PutMode::Create).await
    }

    /// Writes an object that is no file of a commit, if there is none of its name: a list of shards
    /// beside them, for example. Returns whether it was written.
    ///
    /// # Errors
    ///
    /// [`StoreError::ReadOnly`]; [`StoreError::Request`].
    pub async fn create_text(&self, name: &str, text: &str) -> Result<bool, StoreError> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        match self.create(name, bytes.clone()).await? {
            Written::Done(_) => Ok(true),
            Written::Refused { is_doubtful: false } => Ok(false),
            // The answer to an attempt of our own may be lost.
            Written::Refused { is_doubtful: true } => {
                let found = self.read(name, bytes.len() as u64).await;
                Ok(found.is_ok_and(|found| found.is_some_and(|found| found.bytes == bytes)))
            }
        }
    }

    /// Writes an object if it has this version.
    pub(crate) async fn update(
        &self,
        name: &str,
        bytes: Bytes,
        version: UpdateVersion,
    ) -> Result<Written, StoreError> {
        self.write_if(name, bytes, PutMode::Update(version)).await
    }

    async fn write_if(
        &self,
        name: &str,
        bytes: Bytes,
        mode: PutMode,
    ) -> Result<Written, StoreError> {
        self.check_writable()?;
        match self.put(name, &bytes, mode).await {
            Ok(version) => Ok(Written::Done(version)),
            Err(Failure {
                attempts,
                error: Error::AlreadyExists { .. } | Error::Precondition { .. },
            }) => Ok(Written::Refused { is_doubtful: attempts > 1 }),
            Err(failure) => Err(self.failed(Operation::Write, name, failure)),
        }
    }

    /// Removes an object. A missing one is no error.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.check_writable()?;
        let path = self.path(name);
        match self.retries.run(|| self.objects.delete(&path)).await {
            Ok(_) => Ok(()),
            Err(failure) if is_missing(&failure) => Ok(()),
            Err(failure) => Err(self.failed(Operation::Remove, name, failure)),
        }
    }

    /// Starts an upload of an object in parts.
    pub(crate) async fn upload(
        &self,
        name: &str,
    ) -> Result<Box<dyn object_store::MultipartUpload>, StoreError> {
        self.check_writable()?;
        let path = self.path(name);
        match self.retries.run(|| self.uploads.put_multipart(&path)).await {
            Ok(upload) => Ok(upload),
            Err(failure) => Err(self.failed(Operation::Write, name, failure)),
        }
    }

    /// The error of a part of an upload.
    pub(crate) fn upload_failed(&self, name: &str, error: Error) -> StoreError {
        self.failed(Operation::Write, name, Failure { attempts: 1, error })
    }
}
