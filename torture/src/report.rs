//! The table of results of a run: as text, as JSON, and as the block in docs/RELIABILITY.md.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::Row;

/// The results of a whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of the workspace.
    pub version: &'static str,
    /// `quick` or `full`.
    pub mode: &'static str,
    /// The seed.
    pub seed: u64,
    /// Day of the run, as year, month and day, in UTC.
    pub date: String,
    /// Number of cores, architecture and operating system.
    pub machine: String,
    /// Duration of the run in seconds.
    pub seconds: u64,
    /// Whether all rows are ok.
    pub ok: bool,
    /// The table.
    pub rows: Vec<Row>,
}

const HEADINGS: [&str; 10] = [
    "suite",
    "test",
    "protection",
    "cases",
    "detected",
    "harmless",
    "wrong",
    "panics",
    "over-allocations",
    "verdict",
];

/// Columns that contain words; all others contain numbers.
const WORDS: [usize; 4] = [0, 1, 2, 9];

impl Report {
    /// The report of these rows, dated now.
    #[must_use]
    pub fn new(rows: Vec<Row>, mode: &'static str, seed: u64, took: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            mode,
            seed,
            date: date(now.as_secs() / (24 * 60 * 60)),
            machine: format!("{cores}-core {}, {}", std::env::consts::ARCH, std::env::consts::OS),
            seconds: took.as_secs(),
            ok: !rows.is_empty() && rows.iter().all(Row::is_ok),
            rows,
        }
    }

    /// The table as text for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(|row| cells(row, u64::to_string)));
        lines.push(self.total(u64::to_string));
        let mut widths = [0; HEADINGS.len()];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for line in &lines {
            let cells = line.iter().zip(widths).enumerate();
            let padded = cells.map(|(i, (cell, width))| match WORDS.contains(&i) {
                true => format!("{cell:width$}"),
                false => format!("{cell:>width$}"),
            });
            _ = writeln!(text, "{}", padded.collect::<Vec<_>>().join("  ").trim_end());
        }
        for (row, remark) in self.remarks() {
            _ = writeln!(
                text,
                "  {}, {}, {}: {remark}",
                row.suite,
                row.test,
                row.protection.name()
            );
        }
        for row in &self.rows {
            for failure in &row.failures {
                let (suite, test) = (row.suite, &row.test);
                _ = writeln!(
                    text,
                    "  FAILED {suite}, {test}, case {}: {}",
                    failure.case, failure.what
                );
            }
        }
        let verdict = if self.ok { "every promise kept" } else { "PROMISES BROKEN" };
        _ = write!(text, "{} run, seed {}, {} s: {verdict}", self.mode, self.seed, self.seconds);
        text
    }

    /// The table as the block in docs/RELIABILITY.md.
    #[must_use]
    pub fn markdown(&self) -> String {
        let full = if self.mode == "full" { " --full" } else { "" };
        let mut text = format!(
            "{}, {}, {} s, seed {}: `cargo xtask torture{full} --markdown`\n\n",
            self.date, self.machine, self.seconds, self.seed
        );
        _ = writeln!(text, "| {} |", HEADINGS.join(" | "));
        let rules = (0..HEADINGS.len()).map(|i| if WORDS.contains(&i) { "---" } else { "---:" });
        _ = writeln!(text, "| {} |", rules.collect::<Vec<_>>().join(" | "));
        for row in &self.rows {
            _ = writeln!(text, "| {} |", cells(row, grouped).join(" | "));
        }
        _ = writeln!(text, "| {} |", self.total(grouped).join(" | "));
        let mut remarks = self.remarks().peekable();
        if remarks.peek().is_some() {
            text.push('\n');
        }
        for (row, remark) in remarks {
            _ = writeln!(
                text,
                "- {}, {}, {}: {remark}.",
                row.suite,
                row.test,
                row.protection.name()
            );
        }
        text
    }

    /// The remarks below the table.
    fn remarks(&self) -> impl Iterator<Item = (&Row, String)> {
        self.rows.iter().flat_map(|row| {
            let skipped = row.skipped.iter().map(|reason| format!("not run, {reason}"));
            skipped.chain(row.note.clone()).map(move |remark| (row, remark))
        })
    }

    fn total(&self, number: impl Fn(&u64) -> String) -> [String; HEADINGS.len()] {
        let sum = |of: fn(&Row) -> u64| number(&self.rows.iter().map(of).sum());
        [
            "all".to_owned(),
            String::new(),
            String::new(),
            sum(|row| row.cases),
            sum(|row| row.detected),
            sum(|row| row.harmless),
            sum(|row| row.wrong),
            sum(|row| row.panics),
            sum(|row| row.over_allocations),
            if self.ok { "ok" } else { "FAILED" }.to_owned(),
        ]
    }
}

fn cells(row: &Row, number: impl Fn(&u64) -> String) -> [String; HEADINGS.len()] {
    let wrong = match row.explained {
        0 => number(&row.wrong),
        explained if explained == row.wrong => format!("{} (explained)", number(&row.wrong)),
        explained => format!("{} ({} explained)", number(&row.wrong), number(&explained)),
    };
    [
        row.suite.to_owned(),
        row.test.clone(),
        row.protection.name().to_owned(),
        number(&row.cases),
        number(&row.detected),
        number(&row.harmless),
        wrong,
        number(&row.panics),
        number(&row.over_allocations),
        row.verdict().to_owned(),
    ]
}

/// A number with commas between groups of three digits.
fn grouped(number: &u64) -> String {
    indicatif::HumanCount(*number).to_string()
}

/// The date that is `days` days after 1970-01-01, as year-month-day.
fn date(mut days: u64) -> String {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    loop {
        let len = if is_leap(year) { 366 } else { 365 };
        if days < len {
            break;
        }
        days -= len;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for len in months {
        if days < len {
            break;
        }
        days -= len;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Protection, Verdict};

    fn report(rows: Vec<Row>) -> Report {
        Report::new(rows, "quick", 7, Duration::from_secs(3))
    }

    fn row(verdict: Verdict) -> Row {
        let mut row = Row::new("flips", Protection::Bare).note("a size word that becomes 0");
        row.suite = "bits";
        row.count(3, verdict, || "byte 7".to_owned());
        row
    }

    #[test]
    fn days_have_dates() {
        for (days, expected) in
            [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_453, "2025-12-31")]
        {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn a_run_is_as_good_as_its_worst_row_and_nothing_is_no_success() {
        assert!(!report(Vec::new()).ok);
        assert!(report(vec![row(Verdict::Detected), row(Verdict::Explained)]).ok);
        assert!(!report(vec![row(Verdict::Detected), row(Verdict::Wrong("x".to_owned()))]).ok);
    }

    #[test]
    fn remarks_and_failures_are_told() {
        let skipped = Row::skipped("emulation", Protection::NotApplicable, "no emulator");
        let report = report(vec![row(Verdict::Wrong("another value".to_owned())), skipped]);
        for expected in ["byte 7: another value", "no emulator", "NOT RUN", "size word", "FAILED"] {
            assert!(report.text().contains(expected), "{expected}");
        }
        assert!(report.markdown().contains("no emulator"));
        assert_eq!(grouped(&1_234_567), "1,234,567");
    }
}
