//! Tests of the `sst` command from outside: the built program, real files, exit codes.

#[cfg(test)]
mod certificate;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod directories;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod estimate;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod gather;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod json;
#[cfg(test)]
mod keys_from;
#[cfg(test)]
mod load;
#[cfg(test)]
mod long_runs;
#[cfg(test)]
mod long_values;
#[cfg(target_os = "linux")]
#[cfg(test)]
mod memory;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod mirrors;
#[cfg(unix)]
#[cfg(test)]
mod operating;
#[cfg(feature = "parquet")]
#[cfg(test)]
mod parquet;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod pictures;
#[cfg(target_os = "linux")]
#[cfg(test)]
mod published;
#[cfg(unix)]
#[cfg(test)]
mod ranges;
#[cfg(test)]
mod reference;
#[cfg(unix)]
#[cfg(test)]
mod refused;
#[cfg(feature = "aws")]
#[cfg(test)]
mod s3;
#[cfg(test)]
mod scans;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod turbopack;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod verify;
