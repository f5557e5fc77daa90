//! Inputs of `sst load`: what is read does not depend on how the input is cut, and what `scan`
//! prints of it is read back.

/// See the module.
pub fn run(data: &[u8]) {
    sst_cli::fuzzing::input(data);
}
