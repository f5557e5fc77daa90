//! A store whose clock differs from this machine's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// The difference of the store's clock from this machine's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    Ahead(Duration),
    Behind(Duration),
}

impl Clock {
    fn set(self, meta: &mut ObjectMeta) {
        meta.last_modified = match self {
            Self::Ahead(by) => meta.last_modified + by,
            Self::Behind(by) => meta.last_modified - by,
        };
    }
}

/// Passes requests on to a store in memory, and tells its own times of the objects.
#[derive(Debug)]
pub(crate) struct ClockStore {
    pub(crate) inner: Arc<InMemory>,
    pub(crate) clock: Clock,
}

impl fmt::Display for ClockStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockStore")
    }
}

#[async_trait]
impl ObjectStore for ClockStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = self.inner.get_opts(location, options).await?;
        self.clock.set(&mut result.meta);
        Ok(result)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let clock = self.clock;
        let tell = move |mut object: ObjectMeta| {
            clock.set(&mut object);
            object
        };
        self.inner.list(prefix).map(move |object| object.map(tell)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut result = self.inner.list_with_delimiter(prefix).await?;
        result.objects.iter_mut().for_each(|object| self.clock.set(object));
        Ok(result)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
