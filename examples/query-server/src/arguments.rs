//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Serves a directory of tables over HTTP.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// Directory to serve
    pub(crate) directory: PathBuf,

    /// Address to listen on; port 0 chooses a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Key space to serve
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) family: u32,

    /// Size of the cache of uncompressed blocks, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) cache: u64,

    /// Interval of checks for a new commit, in milliseconds; a check reads a few bytes
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 250,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) poll_millis: u64,

    /// Time for requests in progress when the server is told to stop, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) drain_seconds: u64,

    /// Highest number of connections; others wait
    #[arg(long, value_name = "COUNT", default_value_t = 1024,
        value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_connections: u16,

    /// Time for a client to send the head of a request, and again for its body, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) request_seconds: u64,

    /// Highest length of the values of one answer, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_answer: u16,

    /// Format of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub(crate) log: LogFormat,
}

impl Arguments {
    /// Highest length of the values of one answer, in bytes.
    pub(crate) fn max_answer_bytes(&self) -> u64 {
        u64::from(self.max_answer) << 20
    }
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object per line
    Json,
    /// Text for people
    Text,
}
