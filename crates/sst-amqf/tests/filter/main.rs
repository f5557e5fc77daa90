//! What a user of the crate can rely on, tested from outside.

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
