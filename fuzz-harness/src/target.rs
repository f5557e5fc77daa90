//! The list of fuzz targets.

use crate::targets;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the target's binary in `fuzz/` and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Highest useful length of an input, in bytes.
    pub max_len: usize,
    /// Runs the target on any bytes. Panics if a promise is broken.
    pub run: fn(&[u8]),
}

/// All targets: first the parsers of `sst-format`, then filters, then whole tables and directories.
pub const TARGETS: [Target; 19] = [
    Target { name: "block", max_len: 64, run: targets::block::run },
    Target { name: "current", max_len: 16, run: targets::current::run },
    Target { name: "del_file", max_len: 32, run: targets::del_file::run },
    Target { name: "file_name", max_len: 32, run: targets::file_name::run },
    Target { name: "value_ref", max_len: 300, run: targets::value_ref::run },
    Target { name: "offset_table", max_len: 256, run: targets::offset_table::run },
    Target { name: "index_block", max_len: 256, run: targets::index_block::run },
    Target { name: "key_block", max_len: 512, run: targets::key_block::run },
    Target { name: "meta_file", max_len: 512, run: targets::meta_file::run },
    Target { name: "live", max_len: 256, run: targets::live::run },
    Target { name: "explain", max_len: 512, run: targets::explain::run },
    Target { name: "filter", max_len: 1024, run: targets::filter::run },
    Target { name: "filter_build", max_len: 1024, run: targets::filter_build::run },
    Target { name: "table", max_len: 2048, run: targets::table::run },
    Target { name: "write_read", max_len: 512, run: targets::write_read::run },
    Target { name: "directory", max_len: 80, run: targets::directory::run },
    Target { name: "input", max_len: 256, run: targets::input::run },
    Target { name: "publish", max_len: 512, run: targets::publish::run },
    Target { name: "answers", max_len: 96, run: targets::answers::run },
];

impl Target {
    /// The target with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }
}
