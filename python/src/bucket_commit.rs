//! Commits to a bucket, whose tables and blobs are uploaded while they are written.

use std::mem;
use std::sync::Arc;

use self_cell::MutBorrow;
use sst_format::file_name::FileName;
use sst_format::monitor::Monitor;
use sst_format::protection::BlobRecord;
use sst_object_store::{
    AdoptOptions, AdoptedFragment, Certify, ObjectCommit, ObjectOutput, ObjectPublisher,
    ObjectPublisherOptions, Place, Store, StoreError,
};
use sst_writer::file::RemoteOutput;
use sst_writer::publish::TaskTable;
use tokio::runtime::{Builder, Runtime};

use crate::errors::Error;
use crate::target::{Mode, PublishPlan, Published};

/// Threads that run the requests of a commit, beside those that write.
const THREADS: usize = 2;

self_cell::self_cell!(
    /// A commit, and the publisher that it borrows.
    struct OwnedCommit {
        owner: MutBorrow<ObjectPublisher>,

        #[not_covariant]
        dependent: OpenCommit,
    }
);

/// A commit, until it is published.
type OpenCommit<'p> = Option<ObjectCommit<'p>>;

/// A commit to a bucket that is being made. [`BucketCommit::output`] is where its tables and blobs
/// go. If it is dropped, they stay without a meaning until garbage is collected;
/// [`BucketCommit::discard`] removes them.
///
/// All its operations wait for requests, so they are called without the GIL.
pub(crate) struct BucketCommit {
    // Before the runtime, whose end waits for its tasks.
    commit: OwnedCommit,
    output: ObjectOutput,
    runtime: Runtime,
}

/// Tables and blobs in the bucket that no commit names yet.
#[derive(Default)]
pub(crate) struct WrittenObjects {
    pub(crate) tables: Vec<TaskTable>,
    pub(crate) blobs: Vec<BlobRecord>,
    /// Blobs to which no table refers.
    pub(crate) unused: Vec<FileName>,
}

impl BucketCommit {
    /// Starts a commit on top of the newest one.
    pub(crate) fn begin(store: &Store, plan: PublishPlan) -> Result<Self, Error> {
        let certify = if plan.certify { Certify::Always } else { Certify::No };
        let options = ObjectPublisherOptions::default().certify(certify);
        let publisher = ObjectPublisher::new(store, options)?;
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
        let runtime = runtime.map_err(|source| StoreError::Runtime { source })?;
        let mut commit = OwnedCommit::try_new(MutBorrow::new(publisher), |publisher| {
            let mut commit = runtime.block_on(publisher.borrow_mut().begin(plan.family))?;
            if plan.mode == Mode::Replace {
                commit.replace_all();
            }
            Ok::<_, Error>(Some(commit))
        })?;
        let output = {
            let _in_runtime = runtime.enter();
            commit.with_dependent_mut(|_, commit| commit.as_ref().map(ObjectCommit::output))
        };
        let output = output.ok_or(UNPUBLISHED)?;
        Ok(Self { commit, output, runtime })
    }

    /// Where the tables and blobs of the commit go.
    pub(crate) fn output(&self) -> Arc<dyn RemoteOutput> {
        Arc::new(self.output.clone())
    }

    /// Adopts a fragment that was written elsewhere.
    pub(crate) fn adopt(
        &mut self,
        fragment: &Place,
        options: &AdoptOptions,
        monitor: &Monitor,
    ) -> Result<AdoptedFragment, Error> {
        let Self { commit, runtime, .. } = self;
        commit.with_dependent_mut(|_, commit| match commit {
            Some(commit) => Ok(runtime.block_on(commit.adopt(fragment, options, monitor))?),
            None => Err(UNPUBLISHED),
        })
    }

    /// Publishes the commit with what was written. If nothing of it is or will be visible, what was
    /// written is removed.
    pub(crate) fn publish(
        mut self,
        written: WrittenObjects,
        monitor: &Monitor,
    ) -> Result<Published, Error> {
        let WrittenObjects { tables, blobs, unused } = written;
        let Self { commit, output, runtime } = &mut self;
        let info = commit.with_dependent_mut(|_, commit| {
            let mut commit = commit.take().ok_or(UNPUBLISHED)?;
            commit.add_written(tables, blobs);
            runtime.block_on(async {
                // They are garbage until they are removed, and so they are if they stay.
                _ = output.remove(&unused).await;
                let published = commit.publish(monitor).await;
                if let Err(StoreError::Changed { .. } | StoreError::Cancelled) = &published {
                    // What stays is garbage. The error of the commit is the one that is told.
                    _ = output.discard().await;
                }
                Ok::<_, Error>(published?)
            })
        });
        self.close();
        let info = info?;
        Ok(Published { commit: info.commit, certificates: info.certificates })
    }

    /// Gives the commit up, and removes what was written.
    pub(crate) fn discard(self) {
        // What stays is garbage, and the caller has an error to tell, or none.
        _ = self.runtime.block_on(self.output.discard());
        self.close();
    }

    /// Releases the claims on numbers.
    fn close(self) {
        let Self { commit, runtime, .. } = self;
        let publisher = commit.into_owner().into_inner();
        // A claim that stays costs nothing but time.
        _ = runtime.block_on(publisher.close());
    }

    /// Leaks everything, in a child that a fork has made: the threads of the runtime, for which its
    /// end would wait, are those of the parent, and so are the objects.
    pub(crate) fn forget(self) {
        mem::forget(self);
    }
}

const UNPUBLISHED: Error = Error::Internal("a commit is there until it is published");
