//! Publishes a commit of many made-up tables in a bucket in memory, and prints what it takes to
//! open it and to continue it: the figures of docs/SCALE.md. `cargo xtask simulate` runs it.
//!
//! The tables are descriptions only: no object has their bytes, so filters and copies of block
//! headers, whose sizes follow from the number of keys, are short here. What is measured is all
//! that grows with the number of tables: meta files, requests, time.

#![expect(clippy::print_stdout, reason = "its output is printed")]

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use sst_format::block::{BlockHeader, Encoding};
use sst_format::current::Current;
use sst_format::filter::FilterBytes;
use sst_format::meta_head::{CommitKind, MetaLimits};
use sst_format::{SequenceNumber, SstMeta, TableProtection};
use sst_object_store::{ObjectPublisher, ObjectPublisherOptions, RemoteCommit, Store, StoreFiles};
use sst_reader::{Access, Monitor, ReaderOptions, SstSet, hash_key};
use sst_writer::WriterOptions;
use sst_writer::publish::{CommitBase, NewCommit};

/// Blocks of a made-up table.
const BLOCKS: u16 = 4;
/// The key of the table that is appended.
const KEY: &str = "key";
/// Bytes of the filter of a made-up table.
const FILTER_LEN: usize = 16;

/// Counts requests and the bytes of their answers.
#[derive(Debug, Default)]
struct Counters {
    gets: AtomicU64,
    puts: AtomicU64,
    lists: AtomicU64,
    bytes: AtomicU64,
}

/// A store in memory that counts.
#[derive(Debug)]
struct Counted {
    inner: InMemory,
    counters: Arc<Counters>,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        add(&self.counters.puts, 1);
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        add(&self.counters.puts, 1);
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        add(&self.counters.gets, 1);
        let answer = self.inner.get_opts(location, options).await?;
        add(&self.counters.bytes, answer.range.end - answer.range.start);
        Ok(answer)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        add(&self.counters.lists, 1);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        add(&self.counters.lists, 1);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A step of the simulation, and what it took.
struct Step {
    started: Instant,
    before: Counts,
}

impl Step {
    fn start(counters: &Counters) -> Self {
        Self { started: Instant::now(), before: Counts::of(counters) }
    }

    fn print(self, name: &str, counters: &Counters) {
        let seconds = self.started.elapsed().as_secs_f64();
        let Counts { gets, puts, lists, bytes } = Counts::of(counters).since(&self.before);
        println!(
            "  {name}: {gets} reads, {bytes} bytes, {puts} writes, {lists} lists, {seconds:.2} s"
        );
    }
}

/// Values of the counters.
struct Counts {
    gets: u64,
    puts: u64,
    lists: u64,
    bytes: u64,
}

impl Counts {
    fn of(counters: &Counters) -> Self {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { gets, puts, lists, bytes } = counters;
        Self { gets: value(gets), puts: value(puts), lists: value(lists), bytes: value(bytes) }
    }

    const fn since(self, before: &Self) -> Self {
        Self {
            gets: self.gets - before.gets,
            puts: self.puts - before.puts,
            lists: self.lists - before.lists,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// The description of table `i` of `count`, which divide the hashes evenly.
fn table(i: u64, count: u64) -> SstMeta {
    let width = u64::MAX / count;
    let header = BlockHeader { encoding: Encoding::Raw, checksum: 7 };
    SstMeta {
        block_count: BLOCKS,
        min_hash: i * width,
        max_hash: i * width + (width - 1),
        file_size: 1 << 20,
        flags: Default::default(),
        filter: FilterBytes::new(vec![0; FILTER_LEN]),
        protection: Some(TableProtection {
            entry_count: 1000,
            block_headers: vec![header; BLOCKS.into()].into(),
        }),
    }
}

/// Simulates a commit of so many tables in so many layers.
fn simulate(count: u64, tables_each: u64) -> Result<(), Box<dyn Error>> {
    let counters = Arc::new(Counters::default());
    let objects = Arc::new(Counted { inner: InMemory::new(), counters: Arc::clone(&counters) });
    let store = Store::new(Arc::<Counted>::clone(&objects), "memory:///", "db")?;
    println!("{count} tables, {tables_each} in a meta file:");
    let step = Step::start(&counters);
    let (metas, bytes) = publish(&objects, count, tables_each)?;
    step.print(&format!("publish {metas} meta files of {bytes} bytes"), &counters);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let step = Step::start(&counters);
    let commit = runtime.block_on(RemoteCommit::read(&store))?.ok_or("there is a commit")?;
    step.print("read the commit", &counters);
    drop(commit);
    let options =
        ReaderOptions::default().access(Access::Read).files(Arc::new(StoreFiles::new(&store)));
    let step = Step::start(&counters);
    let set = SstSet::open(store.name(), &options)?;
    step.print("open a set", &counters);
    drop(set);
    let step = Step::start(&counters);
    let shard = SstSet::open_range(store.name(), 0, 0..=u64::MAX / 100, &options)?;
    step.print("open a set of one hundredth of the hashes", &counters);
    drop(shard);
    let step = Step::start(&counters);
    runtime.block_on(append(&store))?;
    step.print("append a table", &counters);
    let step = Step::start(&counters);
    let hash = hash_key(KEY.as_bytes());
    let width = u64::MAX / 100;
    let first = hash - hash % width;
    let shard = SstSet::open_range(store.name(), 0, first..=first.saturating_add(width), &options)?;
    let value = shard.get(KEY)?;
    step.print("open the hundredth that has a key, and look it up", &counters);
    match value.as_deref() {
        Some(b"value") => Ok(()),
        other => Err(format!("the appended key has the value {other:?}").into()),
    }
}

/// Publishes made-up tables: all of one load, divided among meta files.
fn publish(objects: &Counted, count: u64, tables_each: u64) -> Result<(u64, u64), Box<dyn Error>> {
    let base = CommitBase::empty("memory:///db");
    let tables = (0..count).map(|i| Ok((SequenceNumber(u32::try_from(i + 1)?), table(i, count))));
    let tables: Vec<_> = tables.collect::<Result<_, Box<dyn Error>>>()?;
    let blobs = vec![Vec::new(); tables.len()];
    let obsolete = Default::default();
    let commit = NewCommit {
        family: 0,
        kind: CommitKind::Load,
        tables: &tables,
        blobs: &blobs,
        obsolete: &obsolete,
    };
    let limits = MetaLimits::default().filter_bytes(tables_each * FILTER_LEN as u64);
    let mut metas = base.next(&commit, &[], &limits)?;
    let first = u32::try_from(count)? + 1;
    let parts = metas.part_count();
    let newest = SequenceNumber(first + u32::try_from(parts)?);
    let mut len = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut put = |name: String, bytes: Vec<u8>| {
        len += bytes.len() as u64;
        runtime.block_on(objects.put(&Path::from(format!("db/{name}")), bytes.into()))
    };
    for (index, number) in (0..parts).zip(first..) {
        let bytes = metas.part(index, SequenceNumber(number), newest)?;
        put(format!("{number:08}.meta"), bytes)?;
    }
    put(format!("{:08}.meta", newest.0), metas.newest(newest, &[])?)?;
    put("CURRENT".to_owned(), Current::encode(newest, crc32fast::hash).to_vec())?;
    Ok((parts as u64 + 1, len))
}

/// Appends one table of one entry.
async fn append(store: &Store) -> Result<(), Box<dyn Error>> {
    let mut publisher = ObjectPublisher::new(store, ObjectPublisherOptions::default())?;
    let mut commit = publisher.begin(0).await?;
    let mut table = commit.create_table(WriterOptions::default()).await?;
    let written = tokio::task::spawn_blocking(move || {
        table.add((KEY, "value"))?;
        table.finish()
    });
    commit.add_table(written.await??);
    commit.publish(&Monitor::default()).await?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // The first one has the tables and the meta files of 2 * 10^10 keys.
    let sizes = [(4_769, 434), (10_000, 100), (100_000, 1_000), (1_000_000, 10_000)];
    // `simulate 1` stops after the first one.
    let count = std::env::args().nth(1).map_or(Ok(sizes.len()), |count| count.parse())?;
    for (count, tables_each) in sizes.into_iter().take(count) {
        simulate(count, tables_each)?;
    }
    Ok(())
}
