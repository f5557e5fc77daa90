//! Value references: parsing and encoding are inverse, and small values lie within their block.

use sst_format::value_ref::{EntryType, ValueRef, small_value};

use crate::input::Input;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let byte = input.u8();
    let Ok(entry_type) = EntryType::from_byte(byte) else {
        assert!((4..8).contains(&byte));
        return;
    };
    assert_eq!(entry_type.to_byte(), byte);
    let bytes = input.rest();
    let parsed = ValueRef::parse(entry_type, bytes);
    assert_eq!(parsed.is_ok(), bytes.len() == entry_type.value_ref_len());
    let Ok(value_ref) = parsed else { return };
    assert_eq!(value_ref.entry_type(), Ok(entry_type));
    let mut encoded = Vec::new();
    value_ref.encode(&mut encoded);
    assert_eq!(encoded, bytes);
    if let ValueRef::Small { len, offset, .. } = value_ref {
        let value = small_value(data, len, offset);
        let fits = u64::from(offset) + u64::from(len) <= data.len() as u64;
        assert_eq!(value.is_ok(), fits);
        assert!(value.is_err() || value.is_ok_and(|value| value.len() == usize::from(len)));
    }
}
