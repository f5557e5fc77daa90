//! The table of results of a conformance run.

use std::fmt;

use serde::Serialize;

use crate::CheckError;

/// One kind of check with its results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The name of the check.
    pub check: String,
    /// Number of cases run.
    pub cases: u64,
    /// The cases that failed, one line each.
    pub failures: Vec<String>,
    /// The reason why the check could not run here; `None` if it ran.
    pub skipped: Option<String>,
}

impl Row {
    /// A row without cases.
    #[must_use]
    pub fn new(check: impl Into<String>) -> Self {
        Self { check: check.into(), cases: 0, failures: Vec::new(), skipped: None }
    }

    /// Counts a case. If it failed, the failure is prefixed with the case's name.
    pub fn count(&mut self, case: &str, result: Result<(), CheckError>) {
        self.cases += 1;
        if let Err(error) = result {
            let message = error.to_string();
            let named = message.contains(case);
            self.failures.push(if named { message } else { format!("{case}: {message}") });
        }
    }

    /// Counts many cases of one kind.
    pub fn count_all(
        &mut self,
        kind: &str,
        results: impl IntoIterator<Item = (String, Result<(), CheckError>)>,
    ) {
        for (case, result) in results {
            self.count(&format!("{kind}, {case}"), result);
        }
    }

    fn verdict(&self) -> &'static str {
        match (&self.skipped, self.failures.is_empty(), self.cases) {
            (_, false, _) | (None, _, 0) => "FAILED",
            (Some(_), ..) => "NOT RUN",
            _ => "ok",
        }
    }

    /// Whether no case failed, and there are cases or a reason for having none.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.verdict() != "FAILED"
    }
}

/// All checks of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The checks, in the order in which they ran.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether no case failed, and every check has cases or a reason for having none.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::is_ok)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.check.len()).max().unwrap_or(0);
        writeln!(f, "{:width$}  {:>7}  {:>6}  verdict", "check", "cases", "failed")?;
        for row in &self.rows {
            let (check, verdict) = (&row.check, row.verdict());
            writeln!(f, "{check:width$}  {:>7}  {:>6}  {verdict}", row.cases, row.failures.len())?;
        }
        for row in &self.rows {
            for failure in &row.failures {
                writeln!(f, "  {}: {failure}", row.check)?;
            }
            if let Some(reason) = &row.skipped {
                writeln!(f, "  {}: not run, {reason}", row.check)?;
            }
        }
        let cases: u64 = self.rows.iter().map(|row| row.cases).sum();
        let verdict = if self.is_ok() { "conforms" } else { "DOES NOT CONFORM" };
        write!(f, "{cases} cases: {verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_run_is_not_ok() {
        assert!(!Report::default().is_ok());
        assert!(!Report { rows: vec![Row::new("empty")] }.is_ok());
    }

    #[test]
    fn one_failure_is_not_ok_and_a_check_not_run_is_told() {
        let mut row = Row::new("vectors");
        row.count("first", Ok(()));
        assert!(Report { rows: vec![row.clone()] }.is_ok());
        let mut skipped = row.clone();
        skipped.skipped = Some("no interpreter".to_owned());
        let report = Report { rows: vec![skipped] };
        assert!(report.is_ok());
        assert!(report.to_string().contains("NOT RUN"));
        row.count("second", Err(CheckError::new("block differs")));
        let report = Report { rows: vec![row] };
        assert!(!report.is_ok());
        assert!(report.to_string().contains("second: block differs"));
    }
}
