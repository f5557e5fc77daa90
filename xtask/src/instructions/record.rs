//! The record of counts in the repository.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::callgrind::Run;

/// Counts, and the tools on which they depend.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    /// The output of `rustc --version`.
    pub(crate) rustc: String,
    /// The output of `valgrind --version`.
    pub(crate) valgrind: String,
    /// The processor's features that the counted program sees.
    pub(crate) features: String,
    /// One count for each operation.
    pub(crate) operations: Vec<Operation>,
}

/// One operation and its count.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Operation {
    /// Name of the operation.
    pub(crate) name: String,
    /// Number of times that the operation runs.
    pub(crate) times: u64,
    /// Instructions of all runs together.
    pub(crate) instructions: u64,
}

impl Operation {
    /// Instructions of one run of the operation.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub(crate) fn each(&self) -> f64 {
        self.instructions as f64 / self.times.max(1) as f64
    }

    /// The increase over `before`, in per cent.
    pub(crate) fn change_percent(&self, before: &Self) -> f64 {
        (self.each() - before.each()) / before.each() * 100.0
    }
}

impl Record {
    pub(crate) fn new(rustc: String, valgrind: String, run: Run) -> Self {
        Self { rustc, valgrind, features: run.features, operations: run.operations }
    }

    /// Keeps the lower count of each operation of this run and another one.
    pub(crate) fn keep_least(&mut self, again: &[Operation]) {
        for (now, again) in self.operations.iter_mut().zip(again) {
            if now.name == again.name {
                now.instructions = now.instructions.min(again.instructions);
            }
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        text.push('\n');
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The reason why counts made with these tools cannot be compared with the record; `None` if
    /// they can.
    pub(crate) fn other_tools(&self, rustc: &str, valgrind: &str) -> Option<String> {
        [(&self.rustc, rustc), (&self.valgrind, valgrind)]
            .into_iter()
            .find(|(recorded, here)| recorded != here)
            .map(|(recorded, here)| format!("the record was made with {recorded}, here is {here}"))
    }

    pub(crate) fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }
}
