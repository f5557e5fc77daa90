//! Inputs of `sst load`: the result does not depend on how the input is split into reads, and
//! output of `scan` is read back unchanged.

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    sst_cli::fuzzing::input(data);
}
