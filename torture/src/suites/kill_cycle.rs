//! Directories in which a process works and is killed, over and over.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use sst_conformance::SplitMix;

use super::crashes::{kill, start};
use crate::model::below;
use crate::{Cases, Context, Verdict};

/// Each case goes on in the directories that the one before has left: a child works in them and is
/// killed at a random moment, and then they are checked.
pub(super) struct KillCycle<'a> {
    pub(super) context: &'a Context,
    /// The name of the suite.
    pub(super) suite: &'static str,
    /// First argument of the child. The others are the parent of the directories, and a seed. It
    /// prints the number of each commit that it has made.
    pub(super) child: &'static str,
    pub(super) count: usize,
    /// A child is killed after fewer commits than this.
    pub(super) commits: usize,
    /// And after at most this time of the next commit.
    pub(super) longest: Duration,
    /// Checks the directories below a parent, given the last commit that the child has reported.
    pub(super) check: fn(&Path, Option<u32>, &mut SplitMix) -> Result<(), String>,
}

impl Cases for KillCycle<'_> {
    /// The parent of the directories.
    type Worker = tempfile::TempDir;

    fn count(&self) -> usize {
        self.count
    }

    fn worker(&self) -> Self::Worker {
        tempfile::tempdir().unwrap()
    }

    fn name(&self, case: usize) -> String {
        format!("kill number {case}")
    }

    fn run(&self, parent: &mut Self::Worker, case: usize) -> Verdict {
        let mut random = self.context.random(self.suite, case);
        let reported = self.run_and_kill(parent.path(), &mut random);
        let done = (self.check)(parent.path(), reported, &mut random);
        done.map_or_else(Verdict::Wrong, |()| Verdict::Harmless)
    }
}

impl KillCycle<'_> {
    /// Lets a child work until a random moment. Returns the last commit that it reported.
    fn run_and_kill(&self, parent: &Path, random: &mut SplitMix) -> Option<u32> {
        let seed = random.word().to_string();
        let mut child = start(self.child, &[parent.as_os_str(), seed.as_ref()]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut reported = None;
        // Wait for a number of commits and not for a time, so that a busy machine kills as late as
        // an idle one. Then kill at a random moment of the next commit.
        for _ in 0..below(random, self.commits) {
            match lines.next() {
                Some(Ok(line)) => reported = line.parse().ok(),
                _ => break,
            }
        }
        let longest = usize::try_from(self.longest.as_micros()).unwrap();
        std::thread::sleep(Duration::from_micros(below(random, longest) as u64));
        kill(child);
        lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).last().or(reported)
    }
}
