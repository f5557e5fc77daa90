//! One table: lookups and cursors.

pub(crate) mod affected;
pub(crate) mod answer;
pub(crate) mod batch_key;
mod checked_block;
mod correction;
pub(crate) mod cursor;
pub(crate) mod entered_blocks;
pub(crate) mod entry_ref;
pub(crate) mod hit_predictor;
pub(crate) mod inspect;
pub(crate) mod key_block_search;
pub(crate) mod key_index;
pub(crate) mod lookup;
pub(crate) mod lookup_pipeline;
pub(crate) mod matches;
mod ready_lookup;
pub(crate) mod search;
pub(crate) mod static_sorted_file;
mod table_opening;
mod value_guess;
