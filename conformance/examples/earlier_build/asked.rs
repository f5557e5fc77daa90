//! The answers of an earlier build about a directory. It compiles in builds since eb2696f.

#![allow(clippy::print_stdout, missing_docs, reason = "a program that reports")]

use std::path::PathBuf;
use std::process::ExitCode;

use sst_format::FormatError;
use sst_reader::{Corruption, ReadError, ReaderOptions, SstSet};
use sst_writer::{PublishError, Publisher, PublisherOptions};

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).unwrap_or_default();
    let is_unknown = |cause: &FormatError| matches!(cause, FormatError::UnknownVersion { .. });
    let read = match SstSet::open(&directory, &ReaderOptions::default()) {
        Ok(_) => false,
        Err(error) => {
            println!("reader: {error}");
            matches!(&error, ReadError::Corrupt { cause: Corruption::Format(cause), .. } if is_unknown(cause))
        }
    };
    let published = match Publisher::open(&directory, PublisherOptions::default()) {
        Ok(_) => false,
        Err(error) => {
            println!("writer: {error}");
            matches!(&error, PublishError::Format { source, .. } if is_unknown(source))
        }
    };
    println!("unknown version to the reader: {read}, to the writer: {published}");
    if read && published { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
