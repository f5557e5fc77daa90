//! Merging, at the public API, against models that know nothing of files.

#[cfg(test)]
mod compaction;
#[cfg(test)]
mod diffing;
#[cfg(test)]
mod merging;
#[cfg(test)]
mod model;
#[cfg(test)]
mod passing_through;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod sharding;
#[cfg(test)]
mod support;
