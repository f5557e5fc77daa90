//! The report of `sst inspect`, as tables and bars.

use std::collections::BTreeMap;

use indicatif::{HumanBytes, HumanCount};
use sst_format::block::BLOCK_HEADER_LEN;

use super::report::{Filter, Report, Table, TableParts};
use crate::error::CliError;
use crate::escape::one_line;
use crate::output::{Output, counted};
use crate::text_table::{Align, TextTable, bar, percent, ratio};

use Align::{Left, Right};

/// Highest number of rows of a histogram.
const MAX_ROWS: usize = 16;

pub(super) fn print(report: &Report, output: &mut Output) -> Result<(), CliError> {
    output.report_line(&report.path)?;
    if let Some(directory) = &report.directory {
        let protected = if directory.protected { "protected" } else { "unprotected" };
        let (meta_files, blobs) = (directory.meta_files.len(), directory.blobs.len());
        output.line(format_args!(
            "  commit {}, {protected}, {}, {}{}",
            directory.commit,
            counted(meta_files as u64, "live meta file"),
            counted(report.tables.len() as u64, "table"),
            if blobs == 0 { String::new() } else { format!(", {}", counted(blobs as u64, "blob")) },
        ))?;
    }
    if !report.tables.is_empty() {
        output.line(format_args!("\nTables\n{}", tables(&report.tables)))?;
        print_parts(&report.total, output)?;
    }
    if let Some(blobs) = report.directory.as_ref().map(|directory| &directory.blobs)
        && !blobs.is_empty()
    {
        let mut table = TextTable::new(&[("blob", Right), ("stored", Right), ("value", Right)]);
        for blob in blobs {
            // A list may state any length, also one that is shorter than the header.
            let stored = blob.bytes.saturating_sub(BLOCK_HEADER_LEN as u64);
            table.row([
                format!("{:08}.blob", blob.number),
                HumanBytes(stored).to_string(),
                HumanBytes(blob.uncompressed_bytes.map_or(stored, u64::from)).to_string(),
            ]);
        }
        output.line(format_args!("\nBlob files\n{table}"))?;
    }
    for table in report.tables.iter().filter(|table| !table.block_list.is_empty()) {
        let file = one_line(&table.file);
        output.line(format_args!("\nBlocks of {file}\n{}", block_list(table)))?;
    }
    for damage in &report.damage {
        output.line(format_args!("\ndamaged: {}", one_line(damage)))?;
    }
    Ok(())
}

fn tables(tables: &[Table]) -> TextTable {
    let mut text = TextTable::new(&[
        ("file", Left),
        ("family", Right),
        ("flags", Left),
        ("entries", Right),
        ("blocks", Right),
        ("size", Right),
        ("filter", Right),
        ("bits per key", Right),
        ("false positives", Right),
        ("hashes", Left),
    ]);
    for table in tables {
        let description = table.description.as_ref();
        let size = table.filter.as_ref().map(|filter| HumanBytes(filter.bytes()).to_string());
        // The figures of a table without a filter are blank cells.
        let (bits_per_key, false_positives) = match &table.filter {
            Some(Filter::Quotient(filter)) => (
                format!("{:.1}", filter.bits_per_key),
                format!("{:.2} %", 100.0 * filter.expected_false_positive_rate),
            ),
            Some(Filter::Earlier { .. }) => ("not used".to_owned(), String::new()),
            None => (String::new(), String::new()),
        };
        text.row([
            table.file.clone(),
            description.map_or_else(String::new, |description| description.family.to_string()),
            description.map_or_else(String::new, |description| description.flags.clone()),
            HumanCount(table.entries).to_string(),
            HumanCount(table.block_count.into()).to_string(),
            HumanBytes(table.bytes).to_string(),
            size.unwrap_or_else(|| "none".to_owned()),
            bits_per_key,
            false_positives,
            format!("{} to {}", table.min_hash, table.max_hash),
        ]);
    }
    text
}

fn print_parts(parts: &TableParts, output: &mut Output) -> Result<(), CliError> {
    let mut blocks = TextTable::new(&[
        ("kind", Left),
        ("blocks", Right),
        ("compressed", Right),
        ("entries", Right),
        ("stored", Right),
        ("uncompressed", Right),
        ("ratio", Right),
        ("share of the bytes", Left),
    ]);
    let all: u64 = parts.blocks.values().map(|group| group.stored_bytes).sum();
    for (kind, group) in &parts.blocks {
        let entries = if group.entries == 0 { String::new() } else { count(group.entries) };
        blocks.row([
            kind.clone(),
            count(group.count),
            count(group.compressed),
            entries,
            HumanBytes(group.stored_bytes).to_string(),
            HumanBytes(group.uncompressed_bytes).to_string(),
            ratio(group.uncompressed_bytes, group.stored_bytes),
            share_bar(group.stored_bytes, all),
        ]);
    }
    output.line(format_args!("\nBlocks\n{blocks}"))?;
    let kinds = parts.entry_kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count));
    output.line(format_args!("\nEntries by value\n{}", histogram(kinds)))?;
    let lengths = buckets(&parts.key_lengths);
    output.line(format_args!("\nEntries by key length in bytes\n{}", histogram(lengths)))
}

fn block_list(table: &Table) -> TextTable {
    let mut text = TextTable::new(&[
        ("block", Right),
        ("kind", Left),
        ("entries", Right),
        ("start", Right),
        ("stored", Right),
        ("uncompressed", Right),
        ("checksum", Left),
    ]);
    for block in &table.block_list {
        text.row([
            block.index.to_string(),
            block.kind.clone(),
            block.entries.map_or_else(String::new, |entries| count(entries.into())),
            block.start.to_string(),
            block.stored_bytes.to_string(),
            if block.compressed { block.uncompressed_bytes.to_string() } else { "raw".to_owned() },
            block.checksum.clone(),
        ]);
    }
    text
}

fn histogram(rows: impl IntoIterator<Item = (String, u64)>) -> TextTable {
    let rows: Vec<_> = rows.into_iter().collect();
    let all: u64 = rows.iter().map(|(_, count)| count).sum();
    let mut text = TextTable::new(&[("", Right), ("", Right), ("", Right), ("", Left)]);
    for (name, number) in rows {
        text.row([name, count(number), percent(number, all), share_bar(number, all)]);
    }
    text
}

fn share_bar(part: u64, whole: u64) -> String {
    bar(part as f64 / whole.max(1) as f64)
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// The rows of a histogram of lengths: one row for each length, or, if there are more than
/// [`MAX_ROWS`] lengths, one row for each range up to a power of two, such as `513 to 1024`.
fn buckets(lengths: &BTreeMap<usize, u64>) -> Vec<(String, u64)> {
    if lengths.len() <= MAX_ROWS {
        return lengths.iter().map(|(len, count)| (len.to_string(), *count)).collect();
    }
    let mut ranges: BTreeMap<usize, u64> = BTreeMap::new();
    for (len, count) in lengths {
        *ranges.entry(len.checked_next_power_of_two().unwrap_or(usize::MAX)).or_default() += count;
    }
    let name = |&end: &usize| match end {
        0..=2 => end.to_string(),
        _ => format!("{} to {end}", end / 2 + 1),
    };
    ranges.iter().map(|(end, count)| (name(end), *count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_lengths_have_a_row_each_and_many_share_rows() {
        let few: BTreeMap<usize, u64> = [(0, 1), (7, 20)].into();
        assert_eq!(buckets(&few), [("0".to_owned(), 1), ("7".to_owned(), 20)]);
        let many: BTreeMap<usize, u64> = (0..=1000).map(|len| (len, 2)).collect();
        let rows = buckets(&many);
        let all: u64 = rows.iter().map(|(_, count)| count).sum();
        assert_eq!(all, 2002);
        // Lengths 0 and 1 both belong to the row of 1, with two entries each.
        assert_eq!(rows[0], ("1".to_owned(), 4));
        assert_eq!(rows[1], ("2".to_owned(), 2));
        assert_eq!(rows[2], ("3 to 4".to_owned(), 4));
        assert_eq!(rows.last().unwrap(), &("513 to 1024".to_owned(), 976));
        assert!(rows.len() <= MAX_ROWS);
    }
}
