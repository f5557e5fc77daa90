//! Tests at the boundary of the crate.

mod block_order;
mod defects;
mod filter;
mod publisher;
mod round_trip;
mod support;
