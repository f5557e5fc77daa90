//! The report: first pictures that compare the stores under each condition, then tables in Markdown
//! and HTML, and last every target with its result.

mod conditions;
mod html;
mod markdown;
mod plots;
mod summary;
mod tables;
mod targets;

use std::path::Path;

pub(crate) use self::conditions::Conditions;
use self::plots::Plot;
use self::tables::Table;
use crate::run::Run;
use crate::store::BenchError;

/// The report of one run: its introduction, its plots and its tables.
pub(crate) struct Report {
    run: Run,
    /// The paragraphs at the start of the report.
    summary: Vec<String>,
    plots: Vec<Plot>,
    tables: Vec<Table>,
}

impl Report {
    /// Creates the report of a run, which opens with the pictures of the conditions of users.
    pub(crate) fn new(run: Run, conditions: Option<&Conditions>) -> Self {
        let mut summary: Vec<_> = conditions.iter().map(|it| it.summary()).collect();
        summary.extend(summary::lines(&run));
        let mut plots = conditions.map_or_else(Vec::new, Conditions::plots);
        plots.extend(plots::all(&run));
        let mut tables = tables::all(&run);
        tables.push(targets::table(&run));
        Self { run, summary, plots, tables }
    }

    pub(crate) fn json(&self) -> Result<String, BenchError> {
        Ok(serde_json::to_string_pretty(&self.run)?)
    }

    /// Renders the tables as Markdown. If `plots` is not empty, the text also shows the plots from
    /// this folder.
    pub(crate) fn markdown(&self, plots: &str) -> String {
        let named = if plots.is_empty() { &[] } else { self.plots.as_slice() };
        markdown::render(&self.summary, &self.tables, named, plots)
    }

    /// Writes the report in all formats to `dir`.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), BenchError> {
        std::fs::create_dir_all(dir)?;
        for plot in &self.plots {
            std::fs::write(dir.join(format!("{}.svg", plot.name)), &plot.svg)?;
        }
        std::fs::write(dir.join("report.json"), self.json()? + "\n")?;
        std::fs::write(
            dir.join("report.md"),
            "# Benchmark report\n\n".to_owned() + &self.markdown("."),
        )?;
        std::fs::write(
            dir.join("report.html"),
            html::render(&self.summary, &self.tables, &self.plots),
        )?;
        Ok(())
    }

    /// Replaces the text between the marks in `document`. The text shows the plots in `dir`.
    pub(crate) fn write_into(&self, document: &Path, dir: &Path) -> Result<(), BenchError> {
        let text = std::fs::read_to_string(document)?;
        let base = document.parent().unwrap_or(document);
        let plots = dir.strip_prefix(base).unwrap_or(dir).to_string_lossy().replace('\\', "/");
        let replaced = markdown::between_marks(&text, &self.markdown(&plots))
            .ok_or_else(|| format!("{} has no marks for the report", document.display()))?;
        std::fs::write(document, replaced)?;
        Ok(())
    }
}
