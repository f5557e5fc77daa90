//! The pictures of `cargo xtask conditions`: our store against other stores under the conditions of
//! users.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;

use super::plots::{Bar, Panel, Plot, sort};
use crate::store::BenchError;

/// The results of `cargo xtask conditions`, as in the file that it has written.
#[derive(Deserialize)]
pub(crate) struct Conditions {
    seconds_since_1970: u64,
    rounds: u64,
    quick: bool,
    sides: Vec<Side>,
}

/// One side of the run: our store, a build of an older commit, or another store.
#[derive(Deserialize)]
struct Side {
    name: String,
    /// The samples of each figure, round by round.
    samples: BTreeMap<String, Vec<f64>>,
}

/// A picture: the name of its file, its title, and for each panel its title and its figure. `*` in
/// the name of a figure stands for each way in which our store reads files.
type Picture = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const PICTURES: [Picture; 4] = [
    (
        "cold",
        "Colder than memory: no page of the store is in memory",
        &[
            ("get: microseconds, wall-clock time", "g* get, µs wall"),
            ("get: KiB read from the disk", "g* get, KiB read"),
            ("get: times it waits", "g* get, waits"),
            ("1,000 keys at once: microseconds for a key", "g* multi_get, µs wall"),
            ("absent key: microseconds", "g* miss, µs wall"),
            ("open: microseconds, wall-clock time", "g* open, µs wall"),
        ],
    ),
    (
        "many-tables",
        "Overlapping tables, in memory: nanoseconds of processor time for a key",
        &[
            ("hit, 1 table", "h overlapping 1 hit, ns"),
            ("miss, 1 table", "h overlapping 1 miss, ns"),
            ("hit, 10 tables", "h overlapping 10 hit, ns"),
            ("miss, 10 tables", "h overlapping 10 miss, ns"),
            ("hit, 100 tables", "h overlapping 100 hit, ns"),
            ("miss, 100 tables", "h overlapping 100 miss, ns"),
            ("hit, 1,000 tables", "h overlapping 1000 hit, ns"),
            ("miss, 1,000 tables", "h overlapping 1000 miss, ns"),
        ],
    ),
    (
        "walking",
        "Walking and merging overlapping tables: nanoseconds of processor time for an entry",
        &[
            ("walk, 1 table", "j walk 1, ns"),
            ("walk, 10 tables", "j walk 10, ns"),
            ("walk, 100 tables", "j walk 100, ns"),
            ("walk, 1,000 tables", "j walk 1000, ns"),
            ("merge, 10 tables", "j merge 10, ns"),
            ("merge, 100 tables", "j merge 100, ns"),
        ],
    ),
    (
        "writing",
        "Writing four files: nanoseconds of processor time for an entry",
        &[
            ("(b) values of 100 bytes, files kept", "w b kept, ns"),
            ("(b) files removed", "w b removed, ns"),
            ("(d) values of 16 KiB, files kept", "w d kept, ns"),
            ("(d) files removed", "w d removed, ns"),
        ],
    ),
];

impl Conditions {
    /// Reads the file that `cargo xtask conditions --json FILE` wrote.
    pub(crate) fn read(path: &Path) -> Result<Self, BenchError> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    /// Describes the time and the parameters of the run.
    pub(super) fn summary(&self) -> String {
        let time = UNIX_EPOCH + Duration::from_secs(self.seconds_since_1970);
        let date = humantime::format_rfc3339_seconds(time).to_string();
        let quick = if self.quick { ", with a tenth of the entries" } else { "" };
        format!(
            "The conditions that users have, measured on {} by `cargo xtask conditions --peers`{quick}: medians of {} rounds in \
             turn. \"sst\" is ours, with memory maps and with positioned reads where that makes a difference.",
            date.get(..10).unwrap_or(&date),
            self.rounds
        )
    }

    /// Draws a plot for each condition. A plot without bars is left out.
    pub(super) fn plots(&self) -> Vec<Plot> {
        let draw = |(name, title, panels): Picture| {
            let panels: Vec<_> =
                panels.iter().map(|(title, figure)| self.panel(title, figure)).collect();
            Plot::draw(name, title, &panels)
        };
        PICTURES.into_iter().filter_map(draw).collect()
    }

    fn panel<'r>(&'r self, title: &str, figure: &str) -> Panel<'r> {
        let mut bars: Vec<_> = self.sides.iter().flat_map(|side| side.bars(figure)).collect();
        sort(&mut bars);
        Panel { title: title.to_owned(), bars }
    }
}

impl Side {
    /// Returns the bars of one figure. Our store has one bar for each way to read files.
    fn bars<'r>(&'r self, figure: &str) -> Vec<Bar<'r>> {
        let ways: &[(&str, &str)] = match (self.name.as_str(), figure.contains('*')) {
            ("ours", true) => &[
                (" map", "sst, map"),
                (" read", "sst, reads"),
                (" map4k", "sst, map, 4 KiB"),
                (" read4k", "sst, reads, 4 KiB"),
            ],
            ("ours", false) => &[("", "sst ")],
            (name, _) => &[("", name)],
        };
        ways.iter()
            .filter_map(|(way, name)| {
                let samples = self.samples.get(&figure.replace('*', way))?;
                Some(Bar { name, value: median(samples)? })
            })
            .collect()
    }
}

/// Returns the median sample. `None` if there are no samples.
fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str, figures: &[(&str, f64)]) -> Side {
        let samples = figures.iter().map(|(name, value)| ((*name).to_owned(), vec![*value]));
        Side { name: name.to_owned(), samples: samples.collect() }
    }

    #[test]
    fn each_way_of_ours_stands_beside_the_one_of_others() {
        let sides = vec![
            side("ours", &[("g map get, µs wall", 3.0), ("g read get, µs wall", 1.0)]),
            side("LMDB", &[("g get, µs wall", 2.0)]),
        ];
        let conditions = Conditions { seconds_since_1970: 0, rounds: 1, quick: true, sides };
        let panel = conditions.panel("get", "g* get, µs wall");
        let bars: Vec<_> = panel.bars.iter().map(|bar| (bar.name, bar.value)).collect();
        assert_eq!(bars, [("sst, reads", 1.0), ("LMDB", 2.0), ("sst, map", 3.0)]);
        assert_eq!(conditions.plots().len(), 1);
    }
}
