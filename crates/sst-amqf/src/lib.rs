#![doc = include_str!("../README.md")]
//!
//! # The bytes
//!
//! FORMAT.md, section 10. A fingerprint is the low `q + r` bits of a hash: the quotient, `q` bits,
//! says where it belongs, the remainder, `r` bits, is stored there.
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
//! `q` is the smallest from 6 on with 2^q × 19/20, rounded up, not below the number of entries,
//! duplicates included; from 63,753,421 entries on, which is more than a table can have distinct
//! hashes, it is 26. `r` is the smallest from 1 on with 2^-r not above the false-positive rate.
//!
//! # Modules
//!
//! `policy` holds the type that users name. A `builder` collects fingerprints in a `pile`, sorts
//! them (`radix`) and writes the blocks (`encode`) into an `envelope`. A `view` reads them in
//! place, answers (`query`, with `cpu` and `select`) and checks for damage (`validate`); `open`
//! keeps it together with its bytes. Both sides share `layout`.

mod builder;
mod cpu;
mod earlier;
mod encode;
mod envelope;
mod layout;
mod open;
mod pile;
mod policy;
mod query;
mod radix;
mod select;
mod stats;
mod validate;
mod view;

pub use earlier::EarlierEncoding;
pub use policy::QuotientFilter;
pub use stats::{FilterInfo, measure_false_positive_rate};
pub use view::QuotientFilterView;
