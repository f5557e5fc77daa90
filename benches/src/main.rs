//! Measures our tables against the physical floor. `cargo xtask bench --peers none` runs this
//! program.

use sst_benches::command::{self, Rivals};
use sst_benches::store::BenchError;

fn main() -> Result<(), BenchError> {
    command::main(Rivals::default())
}
