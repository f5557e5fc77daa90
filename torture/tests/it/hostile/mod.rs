//! Hostile files: everything that carries a checksum has the right one, and nothing else is true. A
//! reader answers or gives an error; it never panics, never goes on without end, and never takes
//! more memory than 255 times what is stored.

mod directories;
mod tables;
