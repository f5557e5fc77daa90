//! Certifying commits and gathering fragments, at the public API.

#[cfg(test)]
mod certificate;
#[cfg(test)]
mod fragments;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod survival;
#[cfg(test)]
mod tasks;
