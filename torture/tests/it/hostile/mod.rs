//! Hostile files: all checksums are correct, but the contents are false. A reader must answer or
//! return an error. It must never panic, loop forever, or take more memory than 255 times the
//! stored bytes.

mod directories;
mod tables;
