//! Tables and bars of text for people.

use std::fmt;

/// The alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// A table of text. Each column is as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct TextTable {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    /// Creates a table with these column heads. If all heads are empty, there is no head row. Each
    /// column has the alignment given with its head.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let aligns = columns.iter().map(|(_, align)| *align).collect();
        let heads: Vec<String> = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let has_heads = heads.iter().any(|head| !head.is_empty());
        Self { aligns, rows: if has_heads { vec![heads] } else { Vec::new() } }
    }

    /// Adds a row. Cells beyond the last column are not shown.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

impl fmt::Display for TextTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.aligns.len()).map(|i| self.width(i)).collect();
        for (i, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for ((cell, &width), align) in row.iter().zip(&widths).zip(&self.aligns) {
                line.push_str("  ");
                line.push_str(&match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                });
            }
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Width of a full bar, in characters.
const BAR_WIDTH: usize = 24;

/// A bar for a share from 0 to 1, in eighths of a character. A share above 0 has at least one
/// eighth.
pub(crate) fn bar(share: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if share > 0.0 { share.min(1.0) } else { return String::new() };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 0 to 1 makes 0 to 192 eighths"
    )]
    let eighths = ((share * (BAR_WIDTH * 8) as f64).round() as usize).max(1);
    let part = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    "█".repeat(eighths / 8) + part
}

/// A share as a percentage.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => String::new(),
        _ => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
    }
}

/// The factor by which `after` is smaller than `before`.
pub(crate) fn ratio(before: u64, after: u64) -> String {
    match after {
        0 => String::new(),
        _ => format!("{:.2}", before as f64 / after as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = TextTable::new(&[("kind", Align::Left), ("count", Align::Right)]);
        table.row(["ключи".to_owned(), "7".to_owned()]);
        table.row(["x".to_owned(), "1,000,000".to_owned()]);
        table.row(["only".to_owned()]);
        let expected = "  kind       count\n  ключи          7\n  x      1,000,000\n  only";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn a_table_without_heads_has_rows_only() {
        let mut table = TextTable::new(&[("", Align::Right), ("", Align::Left)]);
        table.row(["1".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "  1");
    }

    #[test]
    fn bars_have_a_length_for_every_share() {
        for (share, text) in [
            (0.0, String::new()),
            (f64::NAN, String::new()),
            (1e-9, "▏".to_owned()),
            (0.5, "█".repeat(12)),
            (0.25 + 1.0 / 192.0, "██████▏".to_owned()),
            (1.0, "█".repeat(24)),
            (7.0, "█".repeat(24)),
        ] {
            assert_eq!(bar(share), text, "{share}");
        }
    }

    #[test]
    fn shares_of_nothing_are_empty() {
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(0, 0), "");
        assert_eq!(ratio(3, 2), "1.50");
        assert_eq!(ratio(3, 0), "");
    }
}
