//! Commits gathered from directories of other writers. The first fragment has two commits. The
//! second has blobs, so its table is not copied but rewritten. The fragments have keys in common,
//! for which the second fragment wins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_merge::{FragmentOverlap, Gatherer, MergeError};
use sst_writer::{Monitor, Publisher, PublisherOptions};

use super::steps::Step;
use super::tap::{Tapped, WithoutSync};

/// One commit of family 0, gathered from two fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathering {
    /// Whether the fragments replace all earlier entries.
    pub replace: bool,
    /// Whether the fragments and the commit are certified.
    pub certify: bool,
}

/// The commits of the fragments.
const FRAGMENTS: [&[Step]; 2] = [&[Step::Append, Step::Tombstones], &[Step::Blobs]];

impl Gathering {
    /// The fragments' directories, beside the directory that they are gathered into.
    fn fragments(directory: &Path) -> [PathBuf; 2] {
        [1, 2].map(|number| directory.with_file_name(format!("fragment-{number}")))
    }

    /// The steps that together have the same effect as this commit.
    #[must_use]
    pub fn steps(self) -> Vec<Step> {
        let replaced = self.replace.then_some(Step::Clear);
        replaced.into_iter().chain(FRAGMENTS.concat()).collect()
    }

    /// Writes the fragments. `number` is the number of the commit under test.
    pub fn prepare(self, directory: &Path, number: u64) {
        let mut number = number + u64::from(self.replace);
        for (path, steps) in Self::fragments(directory).iter().zip(FRAGMENTS) {
            let options = PublisherOptions::default().digest(self.certify);
            let options = options.file_system(Arc::new(Tapped::new(WithoutSync)));
            let mut publisher = Publisher::open(path, options).unwrap();
            for step in steps {
                step.apply(&mut publisher, number).unwrap();
                number += 1;
            }
        }
    }

    /// Makes the commit.
    ///
    /// # Errors
    ///
    /// The error of gathering or publishing.
    pub fn apply(self, publisher: &mut Publisher) -> Result<(), MergeError> {
        let fragments = Self::fragments(publisher.directory());
        let mut commit = publisher.begin();
        let mut gatherer = Gatherer::new(&mut commit, FragmentOverlap::LaterWins);
        for fragment in fragments {
            gatherer.add(fragment, &Monitor::default())?;
        }
        if self.replace {
            commit.replace_all();
        }
        sst_merge::publish(commit, &Monitor::default()).map(drop)
    }
}
