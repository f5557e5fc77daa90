//! Filters where the system refuses memory: an error, never an abort.

use sst_amqf::QuotientFilter;
use sst_format::filter::{FilterBytes, FilterError, FilterPolicy};
use sst_torture::allocations::{Refusal, refusing};

/// Smaller requests are for lists of one or two things.
const SMALLEST_LEN: usize = 256;

fn hashes(count: u64) -> Vec<u64> {
    let mut hashes: Vec<_> = (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    hashes.sort_unstable();
    hashes
}

fn build(hashes: &[u64]) -> Result<Vec<u8>, FilterError> {
    let mut builder = QuotientFilter::default().builder();
    hashes.chunks(1000).for_each(|hashes| builder.add_hashes(hashes));
    builder.finish()
}

#[test]
fn a_filter_is_built_or_refused_wherever_memory_ends() {
    // The second number is more than a leaf of the sort holds.
    for (count, at_least) in [(3000, 5), (150_000, 200)] {
        let hashes = hashes(count);
        let whole = build(&hashes).unwrap();
        let mut granted = 0;
        loop {
            let refusal = Refusal { smallest_len: SMALLEST_LEN, granted };
            match refusing(refusal, || build(&hashes)).0 {
                Ok(bytes) => {
                    assert!(bytes == whole);
                    break;
                }
                Err(_) => granted += 1 + granted / 20,
            }
        }
        assert!(granted >= at_least, "{count}: {granted} requests");
    }
}

#[test]
fn fingerprints_are_listed_or_left_out() {
    let bytes = build(&hashes(3000)).unwrap();
    let filter = QuotientFilter::default().open(FilterBytes::new(bytes)).unwrap();
    let refusal = Refusal { smallest_len: SMALLEST_LEN, granted: 0 };
    assert!(refusing(refusal, || filter.fingerprints()).0.is_none());
    assert!(refusing(refusal, || filter.may_contain(0)).0);
    assert_eq!(filter.fingerprints().unwrap().values.len() as u64, filter.fingerprint_count());
}
