//! Filters built from any hashes: no false negatives, and exactly the bytes that `qfilter` writes.

use sst_amqf::{QuotientFilter, QuotientFilterView};
use sst_format::filter::{FilterBytes, FilterPolicy};

use crate::input::Input;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (shape, rate, batch) = (input.u8(), input.u8(), usize::from(input.u8()).max(1));
    // A rate from one half to 2^-15.
    let rate = (-f64::from(rate % 15 + 1)).exp2();
    let mut hashes = Vec::new();
    while !input.is_empty() {
        hashes.push(hash(&mut input, shape));
    }
    hashes.sort_unstable();
    let policy = QuotientFilter::with_false_positive_rate(rate);
    let mut builder = policy.builder();
    hashes.chunks(batch).for_each(|chunk| builder.add_hashes(chunk));
    let built = builder.finish();
    assert!(built.is_ok(), "any hashes can be built over");
    let Ok(bytes) = built else { return };
    let view = QuotientFilterView::parse(&bytes);
    assert!(view.is_ok_and(|view| view.validate().is_ok()));
    let opened = policy.open(FilterBytes::new(bytes.clone()));
    assert!(opened.as_ref().is_ok_and(|filter| filter.fingerprint_count() <= hashes.len() as u64));
    for &hash in &hashes {
        assert!(view.is_ok_and(|view| view.may_contain(hash)), "{hash:016x}");
        assert!(opened.as_ref().is_ok_and(|filter| filter.may_contain(hash)), "{hash:016x}");
    }
    assert!(reference(&hashes, rate).is_some_and(|theirs| theirs == bytes), "other bytes");
}

/// A hash from the input, unchanged or with bits cut off, so that fingerprints cluster or collide.
fn hash(input: &mut Input<'_>, shape: u8) -> u64 {
    match shape % 5 {
        0 => input.u64(),
        1 => input.u8().into(),
        2 => u64::from(input.u16()) << 7,
        3 => u64::from(input.u8()) << (shape / 5),
        _ => u64::from(input.u32()).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

/// The filter that `qfilter` builds. If it fails, `None`, which counts as a difference.
fn reference(hashes: &[u64], rate: f64) -> Option<Vec<u8>> {
    let mut filter = qfilter::Filter::new(hashes.len() as u64, rate).ok()?;
    for &hash in hashes {
        filter.insert_fingerprint(false, hash).ok()?;
    }
    postcard::to_allocvec(&filter).ok()
}
