//! Finds the column that an option names.

use std::fmt;

use super::input_args::Column;
use crate::escape::Escaped;

/// Highest number of column names that an error lists.
const MAX_LISTED: usize = 20;
/// Highest number of bytes of a name that an error shows.
const MAX_SHOWN_LEN: usize = 100;

/// The reason why an option does not choose exactly one column.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ColumnFault {
    #[error("several columns of the value are named {column}: an object would have it twice")]
    Repeated { column: String },
    #[cfg(feature = "parquet")]
    #[error("there are no columns")]
    None,
    #[error("there is no column {column}: {columns}")]
    NoSuch { column: String, columns: ColumnNames },
    #[error(
        "{count} columns are named {column}: choose one by its number, as in `--key-column {first}`"
    )]
    Ambiguous {
        column: String,
        count: usize,
        /// Number of the first of them, from 1.
        first: usize,
    },
    #[error(
        "{count} columns are named {column}, and no number can choose one since a column is \
         named {first}: rename them"
    )]
    OnlyAmbiguous { column: String, count: usize, first: usize },
}

/// The names of the columns, for an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ColumnNames {
    /// The first of them.
    listed: Vec<String>,
    /// Number of others.
    more: usize,
}

impl ColumnNames {
    fn new(names: &[impl AsRef<[u8]>]) -> Self {
        let listed: Vec<_> =
            names.iter().take(MAX_LISTED).map(|name| shown(name.as_ref())).collect();
        Self { more: names.len() - listed.len(), listed }
    }
}

impl fmt::Display for ColumnNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the columns are {}", self.listed.join(", "))?;
        match self.more {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// The position of a column, counted from 0, among columns with these names.
///
/// A name comes before a number: if a column is named `2020`, the option `2020` is that column.
pub(super) fn find(column: &Column, names: &[impl AsRef<[u8]>]) -> Result<usize, ColumnFault> {
    let mut named = positions(names, column.text());
    match (named.next(), named.count()) {
        (Some(index), 0) => return Ok(index),
        (Some(index), others) => {
            let (column, count, first) = (shown(column.text().as_bytes()), others + 1, index + 1);
            return Err(match positions(names, &first.to_string()).next() {
                None => ColumnFault::Ambiguous { column, count, first },
                Some(_) => ColumnFault::OnlyAmbiguous { column, count, first },
            });
        }
        (None, _) => {}
    }
    column.index().filter(|index| *index < names.len()).ok_or_else(|| ColumnFault::NoSuch {
        column: shown(column.text().as_bytes()),
        columns: ColumnNames::new(names),
    })
}

/// Refuses columns of which several have the same name.
pub(super) fn check_unique<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), ColumnFault> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair.first() == pair.last()) {
        Some([name, ..]) => Err(ColumnFault::Repeated { column: shown(name.as_bytes()) }),
        _ => Ok(()),
    }
}

/// The positions of the columns with this name.
fn positions<'n>(names: &'n [impl AsRef<[u8]>], text: &'n str) -> impl Iterator<Item = usize> + 'n {
    let is_named = move |name: &[u8]| name == text.as_bytes();
    names
        .iter()
        .enumerate()
        .filter(move |(_, name)| is_named(name.as_ref()))
        .map(|(index, _)| index)
}

fn shown(name: &[u8]) -> String {
    format!("`{}`", shown_name(name))
}

/// A name for an error: its start, if it is very long.
pub(super) fn shown_name(name: &[u8]) -> String {
    match name.get(..MAX_SHOWN_LEN) {
        Some(start) if start.len() < name.len() => format!("{}…", Escaped(start)),
        _ => Escaped(name).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(names: &[&str], column: &str) -> Result<usize, ColumnFault> {
        find(&column.parse().unwrap(), names)
    }

    #[test]
    fn names_come_before_numbers_and_must_be_unique() {
        assert_eq!(find_in(&["id", "2020"], "2020"), Ok(1));
        assert_eq!(find_in(&["2", "1"], "1"), Ok(1));
        assert_eq!(find_in(&["2", "1"], "2"), Ok(0));
        assert_eq!(find_in(&["a", "b"], "2"), Ok(1));
        assert_eq!(find_in(&["02", "b"], "02"), Ok(0));
        assert!(matches!(find_in(&["a", "b"], "3"), Err(ColumnFault::NoSuch { .. })));
        assert!(matches!(find_in(&["a", "b"], "A"), Err(ColumnFault::NoSuch { .. })));
        let ambiguous = find_in(&["id", "name", "name"], "name");
        assert!(matches!(ambiguous, Err(ColumnFault::Ambiguous { count: 2, first: 2, .. })));
        let never = find_in(&["2", "name", "name"], "name");
        assert!(matches!(never, Err(ColumnFault::OnlyAmbiguous { .. })));
    }
}
