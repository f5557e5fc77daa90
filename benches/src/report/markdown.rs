//! The report as Markdown.

use super::plots::Plot;
use super::tables::Table;

/// The lines that enclose the report in a document.
const MARKS: [&str; 2] = ["<!-- report: begin -->", "<!-- report: end -->"];

pub(super) fn render(
    summary: &[String],
    tables: &[Table],
    plots: &[Plot],
    plots_in: &str,
) -> String {
    let mut text = summary.join("\n\n") + "\n";
    for plot in plots {
        text += &format!("\n![{}]({plots_in}/{}.svg)\n", plot.title, plot.name);
    }
    for table in tables {
        text += &format!("\n### {}\n\n{}\n\n", table.title, table.note);
        text += &line(&table.head);
        text += &line(&vec!["---".to_owned(); table.head.len()]);
        table.rows.iter().for_each(|row| text += &line(row));
    }
    text
}

fn line(cells: &[String]) -> String {
    format!(
        "| {} |\n",
        cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | ")
    )
}

/// Returns `text` with `report` between its marks. `None` if the text has no marks.
pub(super) fn between_marks(text: &str, report: &str) -> Option<String> {
    let [begin, end] = MARKS;
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n\n{report}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_between_the_marks_is_replaced() {
        let [begin, end] = MARKS;
        let once = between_marks(&format!("a\n{begin}\nold\n{end}\nz\n"), "new").unwrap();
        assert_eq!(once, format!("a\n{begin}\n\nnew\n{end}\nz\n"));
        assert_eq!(between_marks(&once, "new"), Some(once.clone()));
        assert_eq!(between_marks("a", "new"), None);
    }
}
