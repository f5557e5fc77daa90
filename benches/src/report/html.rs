//! The report as one self-contained HTML page.

use super::plots::Plot;
use super::tables::Table;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1f2937; --pale: #6b7280; --line: #e5e7eb; --ground: #f8fafc; --card: #ffffff; --ours: #d95f0e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e5e7eb; --pale: #9ca3af; --line: #374151; --ground: #0f172a; --card: #1e293b; --ours: #fb923c; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font-size: 30px; margin: 0 0 12px; letter-spacing: -0.02em; }
h2 { font-size: 19px; margin: 44px 0 6px; }
p { margin: 0 0 10px; color: var(--pale); max-width: 86ch; }
code { font-size: 13px; }
nav { display: flex; flex-wrap: wrap; gap: 6px 16px; margin: 18px 0 0; font-size: 14px; }
a { color: var(--ours); text-decoration: none; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow-x: auto; margin: 12px 0; }
.plot { background: #ffffff; padding: 8px; }
.plot svg { display: block; width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--pale); }
th:first-child, td:first-child, td.text { text-align: left; }
tr:last-child td { border-bottom: 0; }
tr.ours td:first-child { color: var(--ours); font-weight: 600; }
td.met { color: #15803d; font-weight: 600; } td.missed { color: #dc2626; font-weight: 600; }
@media (prefers-color-scheme: dark) { td.met { color: #4ade80; } td.missed { color: #f87171; } }
";

pub(super) fn render(summary: &[String], tables: &[Table], plots: &[Plot]) -> String {
    let mut body = "<h1>SST benchmark report</h1>\n".to_owned();
    summary.iter().for_each(|line| body += &format!("<p>{}</p>\n", escape(line)));
    body += "<nav>";
    tables
        .iter()
        .enumerate()
        .for_each(|(i, table)| body += &format!("<a href=\"#t{i}\">{}</a>", escape(&table.title)));
    body += "</nav>\n";
    for plot in plots {
        body += &format!("<div class=\"card plot\">{}</div>\n", plot.svg);
    }
    for (i, table) in tables.iter().enumerate() {
        body += &format!(
            "<h2 id=\"t{i}\">{}</h2>\n<p>{}</p>\n",
            escape(&table.title),
            escape(&table.note)
        );
        body += &render_table(table);
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>SST benchmark report</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn render_table(table: &Table) -> String {
    let head: String = table.head.iter().map(|cell| format!("<th>{}</th>", escape(cell))).collect();
    let mut html =
        format!("<div class=\"card\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        let is_ours = row.first().is_some_and(|name| name.starts_with("sst "));
        html += if is_ours { "<tr class=\"ours\">" } else { "<tr>" };
        row.iter().for_each(|cell| html += &format!("<td{}>{}</td>", class(cell), escape(cell)));
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}

/// Returns the CSS class of a cell: verdicts have colours, and long text is aligned to the left.
fn class(cell: &str) -> &'static str {
    match cell {
        "met" => " class=\"met\"",
        "missed" => " class=\"missed\"",
        cell if cell.len() > 40 => " class=\"text\"",
        _ => "",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let table = Table {
            title: String::new(),
            note: String::new(),
            head: vec!["<h>".to_owned()],
            rows: vec![vec!["a & <b>".to_owned(), "missed".to_owned()]],
        };
        let html = render_table(&table);
        assert!(html.contains("<th>&lt;h&gt;</th>") && html.contains("<td>a &amp; &lt;b&gt;</td>"));
        assert!(html.contains("<td class=\"missed\">missed</td>"));
    }
}
