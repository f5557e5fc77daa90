//! The phase of a load in which threads sort records and write tables.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::budget::{BUCKETS, Totals, WriteBudget};
use super::bulk_error::BulkError;
use super::record_sink::{RecordSink, SortedRecord};
use super::refused::RefusedRecords;
use super::resolver::{DuplicateKey, Resolver};
use super::run_merge::RunMerge;
use super::shared::Shared;
use super::sorted_bucket::SortedBucket;
use super::table_sequence::{TablePlan, TableSequence, WrittenTables};
use super::unnumbered_blobs::BlobNumbers;
use crate::Phase;

/// Number of records after which a thread checks whether to go on.
const RECORDS_BETWEEN_CHECKS: u64 = 4096;

/// Sorts all buckets and writes them to tables, share by share. A share is a whole number of tables
/// and of buckets.
pub(super) struct WritePhase<'a> {
    shared: &'a Shared,
    plan: TablePlan,
    totals: Totals,
    numbers: &'a BlobNumbers,
    sort_len: usize,
    next_share: AtomicUsize,
    /// A thread has failed, so the other threads stop.
    is_over: AtomicBool,
    done_records: AtomicU64,
    done_bytes: AtomicU64,
}

/// The result of one share, or of all shares.
#[derive(Debug, Default)]
pub(super) struct LoadOutcome {
    pub(super) written: WrittenTables,
    pub(super) left_out: u64,
    pub(super) duplicate: Option<DuplicateKey>,
    pub(super) refused: RefusedRecords,
}

/// The number of a share, and its result.
type ShareOutcome = (usize, Result<LoadOutcome, BulkError>);

impl<'a> WritePhase<'a> {
    /// Keeps in memory only as many chunks as there is room for while writing.
    pub(super) fn new(
        shared: &'a Shared,
        totals: Totals,
        numbers: &'a BlobNumbers,
    ) -> Result<Self, BulkError> {
        let plan = TablePlan::new(totals, &shared.options);
        let threads = shared.options.threads.clamp(1, plan.shares());
        let budget = WriteBudget::new(
            shared.store.budget(),
            threads,
            totals,
            (plan.table_entries(totals), &shared.options.writer),
            shared.store.largest_sort_len(),
        );
        shared.store.shrink_to(budget.resident_len)?;
        Ok(Self {
            shared,
            plan,
            totals,
            numbers,
            sort_len: budget.sort_len,
            next_share: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            done_records: AtomicU64::new(0),
            done_bytes: AtomicU64::new(0),
        })
    }

    /// Writes all shares.
    pub(super) fn run(self) -> Result<LoadOutcome, BulkError> {
        let threads = self.shared.options.threads.clamp(1, self.plan.shares());
        let mut shares: Vec<ShareOutcome> = thread::scope(|scope| {
            // If the system grants no more threads, those that there are write all shares.
            let start = |_| thread::Builder::new().spawn_scoped(scope, || self.write_shares());
            let workers: Vec<_> = (1..threads).map(start).map_while(Result::ok).collect();
            let mut shares = self.write_shares();
            for worker in workers {
                // A panic comes from the caller's code, in a filter or a callback, so it is passed
                // on to the caller.
                shares.extend(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            shares
        });
        // A share that was abandoned because of another share's error comes last: its own error
        // tells nothing.
        let was_abandoned = |outcome: &Result<_, _>| matches!(outcome, Err(BulkError::Failed));
        shares.sort_by_key(|(share, outcome)| (was_abandoned(outcome), *share));
        let mut all = LoadOutcome::default();
        for (_, outcome) in shares {
            all.join(outcome?);
        }
        Ok(all)
    }

    /// Writes shares until none is left.
    fn write_shares(&self) -> Vec<ShareOutcome> {
        let mut sorted = SortedBucket::default();
        let mut outcomes = Vec::new();
        let mut guard = OverOnPanic { is_over: &self.is_over, is_armed: true };
        while !self.is_over.load(Ordering::Acquire) {
            let share = self.next_share.fetch_add(1, Ordering::Relaxed);
            if share >= self.plan.shares() {
                break;
            }
            let outcome = self.write_share(share, &mut sorted);
            if outcome.is_err() {
                self.is_over.store(true, Ordering::Release);
            }
            outcomes.push((share, outcome));
        }
        guard.is_armed = false;
        outcomes
    }

    fn write_share(
        &self,
        share: usize,
        sorted: &mut SortedBucket,
    ) -> Result<LoadOutcome, BulkError> {
        let tables = TableSequence::new(self.shared, self.plan, self.numbers);
        let resolver = Resolver::new(tables, self.shared.options.duplicates);
        let mut sink = CountingSink { phase: self, resolver, done: Totals::default() };
        let buckets = BUCKETS / self.plan.shares();
        for bucket in share * buckets..(share + 1) * buckets {
            let bucket = self.shared.store.take(bucket)?;
            if bucket.load_len() > self.sort_len as u64 {
                RunMerge::new(self.shared, bucket, self.sort_len, sorted)?.emit_to(&mut sink)?;
                continue;
            }
            for spilled in bucket.spilled {
                sorted.read(&self.shared.store, spilled)?;
            }
            bucket.resident.into_iter().try_for_each(|chunk| sorted.add(chunk))?;
            sorted.sort();
            sorted.emit_to(true, &mut sink)?;
            sorted.clear();
        }
        sink.check()?;
        let mut resolver = sink.resolver;
        let tables = resolver.finish()?;
        tables.finish_table()?;
        let written = std::mem::take(&mut tables.written);
        let refused = std::mem::take(&mut tables.refused);
        let Resolver { left_out, duplicate, .. } = resolver;
        Ok(LoadOutcome { written, left_out, duplicate, refused })
    }

    fn count(&self, done: Totals) {
        let records = self.done_records.fetch_add(done.records, Ordering::Relaxed) + done.records;
        let bytes = self.done_bytes.fetch_add(done.bytes, Ordering::Relaxed) + done.bytes;
        self.shared.report(Phase::Write, Totals { records, bytes }, Some(self.totals));
    }
}

impl LoadOutcome {
    fn join(&mut self, other: Self) {
        self.written.tables.extend(other.written.tables);
        self.written.entries += other.written.entries;
        self.written.tombstones += other.written.tombstones;
        self.left_out += other.left_out;
        self.refused.join(other.refused);
        if let Some(duplicate) = other.duplicate
            && self.duplicate.as_ref().is_none_or(|known| duplicate.second < known.second)
        {
            self.duplicate = Some(duplicate);
        }
    }
}

/// Counts the records on their way to the resolver, and stops when the load has failed or is
/// cancelled.
struct CountingSink<'a> {
    phase: &'a WritePhase<'a>,
    resolver: Resolver<'a>,
    done: Totals,
}

impl CountingSink<'_> {
    fn check(&mut self) -> Result<(), BulkError> {
        self.phase.count(std::mem::take(&mut self.done));
        if self.phase.is_over.load(Ordering::Acquire) {
            return Err(BulkError::Failed);
        }
        self.phase.shared.check()
    }
}

impl RecordSink for CountingSink<'_> {
    #[inline]
    fn accept(&mut self, sorted: SortedRecord<'_>) -> Result<(), BulkError> {
        self.done.records += 1;
        self.done.bytes += sorted.record.len();
        if self.done.records >= RECORDS_BETWEEN_CHECKS {
            self.check()?;
        }
        self.resolver.accept(sorted)
    }
}

/// Ends the phase for all threads if one of them panics.
struct OverOnPanic<'a> {
    is_over: &'a AtomicBool,
    is_armed: bool,
}

impl Drop for OverOnPanic<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.is_over.store(true, Ordering::Release);
        }
    }
}
