//! The `sst` command. The library contains its code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    sst_cli::main()
}
