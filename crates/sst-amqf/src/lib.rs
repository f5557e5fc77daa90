#![doc = include_str!("../README.md")]

mod builder;
mod cpu;
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

pub use policy::QuotientFilter;
pub use stats::{FilterInfo, measure_false_positive_rate};
pub use view::QuotientFilterView;
