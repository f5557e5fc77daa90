//! Tests of the façade through its public interface.

#[cfg(all(feature = "read", feature = "write"))]
#[cfg(test)]
mod facade;
