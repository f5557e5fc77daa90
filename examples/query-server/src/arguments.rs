//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Serves a directory of tables over HTTP.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// The directory
    pub(crate) directory: PathBuf,

    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Key space to serve
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) family: u32,

    /// Room for uncompressed blocks, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) cache: u64,

    /// How often to look for a new commit, in milliseconds: it takes reading a file of 8 bytes
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 250,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) poll_millis: u64,

    /// How long requests under way may take when the server is told to stop, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) drain_seconds: u64,

    /// How to write the log
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub(crate) log: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One object per line
    Json,
    /// For people
    Text,
}
