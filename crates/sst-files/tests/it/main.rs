//! Tests of the façade through its public interface.

#[cfg(all(test, feature = "read", feature = "write"))]
mod facade;
