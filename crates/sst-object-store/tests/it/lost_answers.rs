//! Commits of which no answer to the replacement of `CURRENT` arrives, or only refusals.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use sst_object_store::{
    MirrorOptions, Monitor, ObjectPublisher, ObjectPublisherOptions, Place, RemoteCommit,
    StoreError,
};
use sst_writer::{EntryValue, WriterOptions};

use crate::support::{Scratch, commit, store_on};

/// What becomes of each request that replaces `CURRENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It happens, and its answer is lost.
    Lost,
    /// So it is, and `CURRENT` cannot be read after it.
    LostForGood,
    /// It does not happen, and there is no answer.
    Failed,
    /// It is refused, whatever its condition.
    Refused,
}

/// A store in memory, which breaks while `CURRENT` is replaced.
#[derive(Debug)]
struct Breaking {
    inner: Arc<InMemory>,
    fate: Fate,
    is_broken: AtomicBool,
}

impl fmt::Display for Breaking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Breaking")
    }
}

fn no_answer<T>() -> Result<T> {
    Err(Error::Generic { store: "breaking", source: "503 Slow Down".into() })
}

fn is_current(location: &Path) -> bool {
    location.filename() == Some("CURRENT")
}

#[async_trait]
impl ObjectStore for Breaking {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if !is_current(location) {
            return self.inner.put_opts(location, payload, options).await;
        }
        match self.fate {
            Fate::Lost | Fate::LostForGood => {
                // A refusal of a repetition is lost, too.
                drop(self.inner.put_opts(location, payload, options).await);
                self.is_broken.store(self.fate == Fate::LostForGood, Ordering::SeqCst);
                no_answer()
            }
            Fate::Failed => no_answer(),
            Fate::Refused => {
                let (path, source) = (location.to_string(), "412".into());
                Err(Error::Precondition { path, source })
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if is_current(location) && self.is_broken.load(Ordering::SeqCst) {
            return no_answer();
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Whether the error is the one for what became of the requests. `None`: there is none.
fn is_expected(fate: Fate, error: Option<&StoreError>) -> bool {
    match fate {
        Fate::Lost => error.is_none(),
        Fate::LostForGood => matches!(error, Some(StoreError::Doubtful { .. })),
        Fate::Failed => matches!(error, Some(StoreError::Request { .. })),
        Fate::Refused => matches!(error, Some(StoreError::NoConditions { .. })),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_looked_at() {
    let monitor = Monitor::default();
    for fate in [Fate::Lost, Fate::LostForGood, Fate::Failed, Fate::Refused] {
        for is_mirror in [false, true] {
            let scratch = Scratch::new();
            let db = scratch.path("db");
            commit(&db, 1, false);
            let inner = Arc::new(InMemory::new());
            let intact = store_on(Arc::<InMemory>::clone(&inner));
            let options = MirrorOptions::default();
            let target = Place::Bucket(intact.clone());
            sst_object_store::push(&db, &target, &options, &monitor).await.unwrap();
            let before = RemoteCommit::read(&intact).await.unwrap().unwrap().sequence();
            let is_broken = AtomicBool::new(false);
            let store = store_on(Arc::new(Breaking { inner, fate, is_broken }));
            let error = if is_mirror {
                commit(&db, 2, false);
                let target = Place::Bucket(store);
                sst_object_store::push(&db, &target, &options, &monitor).await.err()
            } else {
                let options = ObjectPublisherOptions::default();
                let mut publisher = ObjectPublisher::new(&store, options).unwrap();
                let mut commit = publisher.begin(0).await.unwrap();
                let mut table = commit.create_table(WriterOptions::default()).await.unwrap();
                let written = tokio::task::spawn_blocking(move || {
                    table.add(("key", EntryValue::Small(b"value")))?;
                    table.finish()
                });
                commit.add_table(written.await.unwrap().unwrap());
                commit.publish(&monitor).await.err()
            };
            assert!(is_expected(fate, error.as_ref()), "{fate:?}, mirror {is_mirror}: {error:?}");
            let after = RemoteCommit::read(&intact).await.unwrap().unwrap().sequence();
            let is_live = matches!(fate, Fate::Lost | Fate::LostForGood);
            assert_eq!(after > before, is_live, "{fate:?}, mirror {is_mirror}");
        }
    }
}
