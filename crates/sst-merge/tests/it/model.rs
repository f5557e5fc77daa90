//! The expected result of a merge, worked out on maps.

use sst_merge::Duplicates;

use crate::support::{Layer, Value};

/// The layers, oldest first, as one. `keeps` tells of which keys tombstones stay.
pub(crate) fn merged(
    layers: &[Layer],
    duplicates: Duplicates,
    keeps: impl Fn(&[u8]) -> bool,
) -> Layer {
    let mut all = Layer::new();
    for layer in layers.iter().rev() {
        for (key, values) in layer {
            let known = all.entry(key.clone()).or_default();
            let counts = known.is_empty()
                || (duplicates == Duplicates::Keep && known.last() != Some(&Value::Deleted));
            if counts {
                known.extend(values.iter().cloned());
            }
        }
    }
    for (key, values) in &mut all {
        if !keeps(key) {
            values.retain(|value| *value != Value::Deleted);
        }
    }
    all.retain(|_, values| !values.is_empty());
    all
}
