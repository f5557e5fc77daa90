//! The entries that `sst scan` prints. Tables have no index by key or value, so a filter is asked
//! about every entry.

use regex::bytes::Regex;

use super::ScanArgs;
use crate::error::CliError;
use crate::output::PrintedValue;

/// Chooses entries by their keys and values.
pub(super) struct Filter {
    prefix: Option<Vec<u8>>,
    grep: Option<Regex>,
}

impl Filter {
    pub(super) fn new(args: &ScanArgs) -> Result<Self, CliError> {
        let notation = args.notation.of_input();
        let prefix = args.prefix.as_ref().map(|text| {
            let prefix = notation.decode(text.as_bytes());
            let place = || format!("--prefix `{text}`");
            prefix.map(Vec::from).map_err(|cause| CliError::Key { place: place(), cause })
        });
        Ok(Self { prefix: prefix.transpose()?, grep: args.grep.clone() })
    }

    /// The options that leave entries out, for a note. Empty if there are none.
    pub(super) const fn options(&self) -> &'static str {
        match (&self.prefix, &self.grep) {
            (None, None) => "",
            (Some(_), None) => "--prefix",
            (None, Some(_)) => "--grep",
            (Some(_), Some(_)) => "--prefix and --grep",
        }
    }

    /// Whether the key starts with the prefix.
    pub(super) fn keeps_key(&self, key: &[u8]) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
    }

    /// Whether the key or the value has a match.
    pub(super) fn keeps_value(&self, key: &[u8], value: PrintedValue<'_>) -> bool {
        self.grep.as_ref().is_none_or(|regex| {
            regex.is_match(key)
                || matches!(value, PrintedValue::Value(value) if regex.is_match(value))
        })
    }
}
