//! A store of which one request fails.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

/// The way in which a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not happen.
    Before,
    /// It happens, but its answer is lost.
    After,
    /// The body of its answer ends after a half.
    HalfBody,
    /// Its answer states another version.
    WrongVersion,
    /// Its answer comes after the time-out.
    Late,
    /// If it writes or removes, the answer is that there is no such object. Others succeed.
    NotFound,
}

impl Fault {
    /// Those that a store has at any time.
    pub(crate) const ALL: [Self; 5] =
        [Self::Before, Self::After, Self::HalfBody, Self::WrongVersion, Self::Late];
}

/// Passes requests on to a store in memory, and makes one of them fail.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: Arc<InMemory>,
    requests: Arc<Requests>,
}

/// The requests so far.
#[derive(Debug)]
struct Requests {
    count: AtomicUsize,
    failing: usize,
    fault: Fault,
    uploads: UploadCounts,
}

/// Counts of uploads in parts.
#[derive(Debug, Default)]
struct UploadCounts {
    /// Those of which the client knows.
    started: AtomicUsize,
    completed: AtomicUsize,
    aborted: AtomicUsize,
}

/// What became of the uploads in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uploads {
    /// Those whose parts the store would keep for ever.
    pub(crate) open: usize,
    pub(crate) completed: usize,
    pub(crate) aborted: usize,
}

fn lost() -> Error {
    Error::Generic { store: "faulty", source: "503 Slow Down".into() }
}

fn not_found() -> Error {
    Error::NotFound { path: "an upload".into(), source: "404 Not Found: NoSuchUpload".into() }
}

impl Requests {
    /// The fault of this request, if it is the failing one.
    fn next(&self) -> Option<Fault> {
        let is_failing = self.count.fetch_add(1, Ordering::SeqCst) == self.failing;
        is_failing.then_some(self.fault)
    }

    /// Makes a request whose answer has neither body nor version.
    async fn run<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next() {
            None => request.await,
            Some(Fault::Before) => Err(lost()),
            Some(Fault::NotFound) => Err(not_found()),
            Some(Fault::Late) => {
                let answer = request.await;
                tokio::time::sleep(Duration::from_secs(10_000)).await;
                answer
            }
            Some(_) => {
                request.await?;
                Err(lost())
            }
        }
    }
}

impl FaultyStore {
    /// Makes request number `failing` fail, counted from 0.
    pub(crate) fn new(inner: Arc<InMemory>, failing: usize, fault: Fault) -> Self {
        let requests = Arc::new(Requests {
            count: AtomicUsize::new(0),
            failing,
            fault,
            uploads: UploadCounts::default(),
        });
        Self { inner, requests }
    }

    /// The uploads in parts so far.
    pub(crate) fn uploads(&self) -> Uploads {
        let UploadCounts { started, completed, aborted } = &self.requests.uploads;
        let [started, completed, aborted] =
            [started, completed, aborted].map(|count| count.load(Ordering::SeqCst));
        Uploads { open: started - completed - aborted, completed, aborted }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.count.load(Ordering::SeqCst)
    }

    /// Whether there was a request that failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.requests() > self.requests.failing
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if let (true, Fault::WrongVersion) = (
            self.requests.count.load(Ordering::SeqCst) == self.requests.failing,
            self.requests.fault,
        ) {
            self.requests.next();
            let mut result = self.inner.put_opts(location, payload, options).await?;
            result.e_tag = Some("another".into());
            return Ok(result);
        }
        self.requests.run(self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.requests.run(self.inner.put_multipart_opts(location, options)).await?;
        self.requests.uploads.started.fetch_add(1, Ordering::SeqCst);
        let requests = Arc::clone(&self.requests);
        Ok(Box::new(FaultyUpload { inner: upload, requests, is_open: true }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(fault) = self.requests.next() else {
            return self.inner.get_opts(location, options).await;
        };
        match fault {
            Fault::NotFound => self.inner.get_opts(location, options).await,
            Fault::Before | Fault::After => Err(lost()),
            Fault::HalfBody => {
                let retried = options.clone();
                let mut result = self.inner.get_opts(location, options).await?;
                let whole = self.inner.get_opts(location, retried).await?.bytes().await?;
                let half = whole.slice(..whole.len() / 2);
                let stream = futures_util::stream::once(async move { Ok(half) }).boxed();
                result.payload = GetResultPayload::Stream(stream);
                Ok(result)
            }
            Fault::WrongVersion => {
                let mut result = self.inner.get_opts(location, options).await?;
                result.meta.e_tag = Some("another".into());
                Ok(result)
            }
            Fault::Late => {
                tokio::time::sleep(Duration::from_secs(10_000)).await;
                self.inner.get_opts(location, options).await
            }
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.requests.next() {
            None => self.inner.delete_stream(locations),
            Some(Fault::Before) => futures_util::stream::once(async { Err(lost()) }).boxed(),
            Some(Fault::NotFound) => futures_util::stream::once(async { Err(not_found()) }).boxed(),
            Some(_) => {
                let deleted = self.inner.delete_stream(locations);
                deleted.then(|_| async { Err(lost()) }).boxed()
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.requests.next() {
            None | Some(Fault::NotFound) => self.inner.list(prefix),
            // The first page has come, the second is lost.
            Some(_) => {
                let lost = futures_util::stream::once(async { Err(lost()) });
                self.inner.list(prefix).take(2).chain(lost).boxed()
            }
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.requests.run(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.requests.run(self.inner.copy_opts(from, to, options)).await
    }
}

/// An upload whose requests are counted too.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    requests: Arc<Requests>,
    /// Whether it was neither completed nor aborted.
    is_open: bool,
}

/// Ends an upload, and counts it if that happens.
async fn end<T>(
    request: impl Future<Output = Result<T>>,
    is_open: &mut bool,
    count: &AtomicUsize,
) -> Result<T> {
    let answer = request.await?;
    if std::mem::take(is_open) {
        count.fetch_add(1, Ordering::SeqCst);
    }
    Ok(answer)
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, requests) = (self.inner.put_part(data), Arc::clone(&self.requests));
        Box::pin(async move { requests.run(part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let Self { inner, requests, is_open } = self;
        requests.run(end(inner.complete(), is_open, &requests.uploads.completed)).await
    }

    async fn abort(&mut self) -> Result<()> {
        let Self { inner, requests, is_open } = self;
        requests.run(end(inner.abort(), is_open, &requests.uploads.aborted)).await
    }
}
