//! Tests of the crate's guarantees, through its public interface.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod damage;
#[cfg(test)]
#[cfg(test)]
mod helpers;
#[cfg(test)]
mod quality;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod vectors;
