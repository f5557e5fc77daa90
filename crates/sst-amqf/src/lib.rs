#![doc = include_str!("../README.md")]
//!
//! # The bytes
//!
//! FORMAT.md, section 10, describes them. A fingerprint is the low `q + r` bits of a hash. Its
//! upper `q` bits are the quotient, the number of the slot where it belongs; its lower `r` bits are
//! the remainder, which is stored there.
//!
//! ```text
//!  ┌─────────────────────────────────────┐
//!  │ varint  length of the buffer        │
//!  ├─────────────────────────────────────┤       one block of 64 slots
//!  │ block 0                             │     ┌──────────────────────────────────────┐
//!  │ block 1                             │     │ u8   offset: slots that belong to    │
//!  │ …                                   │ ──► │      runs of earlier blocks          │
//!  │ block 2^q / 64 - 1                  │     │ u64  occupieds: quotients with a run │
//!  │ 8 zero bytes                        │     │ u64  runends: slots that end a run   │
//!  ├─────────────────────────────────────┤     │ 64 × r bits  remainders              │
//!  │ varint  number of fingerprints      │     └──────────────────────────────────────┘
//!  │ u8 q, u8 r                          │
//!  │ u8 0, or u8 1 and u8 max q          │
//!  └─────────────────────────────────────┘
//! ```
//!
//! `q` is the smallest number from 6 on for which 2^q × 19/20, rounded up, is at least the number
//! of entries, duplicates included. It is at most 26: that is enough for 63,753,421 distinct
//! hashes, which is more than a table can have. `r` is the smallest number from 1 on for which 2^-r
//! is not above the false-positive rate.
//!
//! # Modules
//!
//! `policy` holds the type that users name. A `builder` collects fingerprints in a `pile`, sorts
//! them (`radix`) and writes the blocks (`encode`) into an `envelope`. A `view` reads them in
//! place, answers queries (`query`, with `cpu` and `select`) and checks for damage (`validate`);
//! `open` keeps a view together with its bytes. `layout` serves both sides. `earlier` recognizes
//! the filters of earlier revisions, and `stats` measures filters.

mod builder;
mod cpu;
mod earlier_encoding;
mod encode;
mod envelope;
mod layout;
mod open_filter;
mod pile;
mod query;
mod quotient_filter;
mod radix;
mod select;
mod stats;
mod unread_filter;
mod validate;
mod view;

pub use earlier_encoding::EarlierEncoding;
pub use quotient_filter::QuotientFilter;
pub use stats::{FilterInfo, measure_false_positive_rate};
pub use view::QuotientFilterView;
