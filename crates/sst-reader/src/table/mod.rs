//! One table: lookups and cursors.

pub(crate) mod cursor;
pub(crate) mod inspect;
pub(crate) mod key_index;
pub(crate) mod key_search;
pub(crate) mod lookup;
mod lookup_steps;
pub(crate) mod matches;
pub(crate) mod multi_get;
pub(crate) mod outlook;
pub(crate) mod search;
pub(crate) mod static_sorted_file;
pub(crate) mod value_place;
