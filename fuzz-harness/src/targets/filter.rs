//! Filters of any bytes: opening and querying them must be safe.

use sst_amqf::{QuotientFilter, QuotientFilterView};
use sst_format::filter::{FilterBytes, FilterPolicy};

use crate::input::Input;

/// Hashes queried in addition to those of the input.
const ASKED: [u64; 5] = [0, 1, u64::MAX, u64::MAX / 3, 0x8000_0000_0000_0000];

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let hashes: Vec<u64> = (0..4).map(|_| input.u64()).chain(ASKED).collect();
    let bytes = input.rest();
    let view = QuotientFilterView::parse(bytes);
    let trusting = QuotientFilter::default().check_on_open(false);
    let opened = trusting.open(FilterBytes::new(bytes.to_vec()));
    assert_eq!(view.is_ok(), opened.is_ok());
    assert_eq!(view.is_ok(), QuotientFilter::info(bytes).is_ok());
    let (Ok(view), Ok(opened)) = (view, opened) else { return };
    for &hash in &hashes {
        assert_eq!(view.may_contain(hash), opened.may_contain(hash), "{hash:016x}");
    }
    let checked = QuotientFilter::default().open(FilterBytes::new(bytes.to_vec()));
    assert_eq!(view.check_structure().is_ok(), checked.is_ok());
    // Opening checks less than `validate`.
    assert!(view.validate().is_err() || checked.is_ok());
    if view.validate().is_ok() {
        check_against_reference(bytes, &view, &hashes);
    }
}

/// A valid filter never answers "no" where the reference answers "maybe".
fn check_against_reference(bytes: &[u8], view: &QuotientFilterView<'_>, hashes: &[u64]) {
    let theirs = postcard::from_bytes::<qfilter::Filter>(bytes);
    assert!(theirs.is_ok(), "the reference refuses a valid filter");
    let Ok(theirs) = theirs else { return };
    for &hash in hashes {
        let answer = theirs.contains_fingerprint(hash);
        assert!(view.may_contain(hash) || !answer, "{hash:016x}");
    }
}
