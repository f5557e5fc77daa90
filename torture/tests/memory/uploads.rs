//! The memory of a table that is uploaded while it is written: a few pieces, however long it is.
//!
//! `SST_TABLE_MIB=4096 cargo test --release -p sst-torture --test memory uploads -- --nocapture`
//! writes one of almost 4 GiB, the longest that the format knows.

use std::fmt;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use sst_object_store::{ObjectPublisher, ObjectPublisherOptions, Store};
use sst_torture::allocations::process_peak_of;
use sst_writer::table::hash_key;
use sst_writer::{EntryValue, Monitor, WriterOptions};

use crate::TURN;
use crate::inputs::MIB;

const PIECE_LEN: usize = 256 << 10;
const PARALLEL: usize = 2;
/// Length of a value, which is a block of its own: 65,535 of them are almost 4 GiB.
const VALUE_LEN: usize = (64 << 10) - 64;

/// A store that forgets the bytes of uploads in parts.
#[derive(Debug)]
struct Forgetful(InMemory);

#[derive(Debug)]
struct Forgotten;

impl fmt::Display for Forgetful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forgetful")
    }
}

#[async_trait]
impl MultipartUpload for Forgotten {
    fn put_part(&mut self, _: PutPayload) -> UploadPart {
        Box::pin(async { Ok(()) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for Forgetful {
    async fn put_opts(&self, to: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.0.put_opts(to, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Forgotten))
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(from, options).await
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(all)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

/// Publishes a table of so many values, and returns its length and the peak of memory.
fn upload(values: u32) -> (u64, u64) {
    let mut keys: Vec<_> = (0..values).map(u32::to_be_bytes).collect();
    keys.sort_by_key(|key| (hash_key(key), *key));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = Store::new(Arc::new(Forgetful(InMemory::new())), "memory:///", "db").unwrap();
    let mut options = ObjectPublisherOptions::default().piece_len(PIECE_LEN);
    options.parallel = PARALLEL;
    process_peak_of(|| {
        runtime.block_on(async {
            let mut publisher = ObjectPublisher::new(&store, options).unwrap();
            let mut commit = publisher.begin(0).await.unwrap();
            let mut table = commit.create_table(WriterOptions::default()).await.unwrap();
            let written = tokio::task::spawn_blocking(move || {
                let mut value = vec![0; VALUE_LEN];
                let mut noise = 1_u64;
                for key in keys {
                    for word in value.chunks_exact_mut(8) {
                        noise ^= noise << 13;
                        noise ^= noise >> 7;
                        noise ^= noise << 17;
                        word.copy_from_slice(&noise.to_be_bytes());
                    }
                    table.add((key, EntryValue::Medium(&value))).unwrap();
                }
                table.finish().unwrap()
            });
            let table = written.await.unwrap();
            let len = table.meta().file_size;
            commit.add_table(table);
            commit.publish(&Monitor::default()).await.unwrap();
            len
        })
    })
}

#[test]
fn uploads_of_tables_take_the_memory_of_a_few_pieces() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mib = std::env::var("SST_TABLE_MIB").map_or(64, |mib| mib.parse().unwrap());
    // The highest number of blocks leaves room for the key blocks and the index.
    let values = u32::try_from(mib * MIB / VALUE_LEN as u64).unwrap().min(65_000);
    let (len, peak) = upload(values);
    println!("a table of {len} bytes in pieces of {PIECE_LEN}: {peak} bytes of memory");
    assert!(len >= u64::from(values) * VALUE_LEN as u64);
    // The pieces under way, one that fills up, one that waits; of the table the copies of its
    // headers, the first hashes and the keys; and all that a table and a runtime take.
    let pieces = (PARALLEL as u64 + 3) * PIECE_LEN as u64;
    let limit = pieces + u64::from(values) * 100 + 4 * MIB;
    assert!(peak < limit, "{peak} bytes, not below {limit}");
}
