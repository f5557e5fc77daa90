//! The tables of a merge, and uniform samples of their keys.

mod inputs;
mod sample;

pub use inputs::Inputs;
pub(crate) use sample::SampleWindow;
pub use sample::{Sample, SampleSize};
