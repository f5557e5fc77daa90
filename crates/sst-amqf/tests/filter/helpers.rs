//! Builds filters and hash lists.

use proptest::prelude::*;
use sst_amqf::{QuotientFilter, QuotientFilterView};
use sst_format::filter::{FilterBytes, FilterPolicy};

/// The filter bytes of these hashes, added in batches of changing size.
#[track_caller]
pub(crate) fn build(policy: QuotientFilter, hashes: &[u64]) -> Vec<u8> {
    let mut builder = policy.builder();
    let (mut rest, mut batch) = (hashes, 1);
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(batch.min(rest.len()));
        builder.add_hashes(head);
        (rest, batch) = (tail, batch * 7 % 1000);
    }
    builder.finish().unwrap()
}

/// Fails unless the bytes are a sound filter that answers "maybe" to all these hashes.
#[track_caller]
pub(crate) fn check_sound(bytes: &[u8], hashes: &[u64]) {
    let view = QuotientFilterView::parse(bytes).unwrap();
    view.validate().unwrap();
    let filter = QuotientFilter::default().open(FilterBytes::new(bytes.to_vec())).unwrap();
    for &hash in hashes {
        assert!(view.may_contain(hash), "{hash:#x}");
        assert!(filter.may_contain(hash), "{hash:#x}");
    }
}

/// The n-th of a sequence of evenly spread numbers.
pub(crate) fn spread(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678_9ABC_DEF1);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The first `count` numbers of [`spread`], ascending.
pub(crate) fn spread_hashes(count: u64) -> Vec<u64> {
    let mut hashes: Vec<u64> = (0..count).map(spread).collect();
    hashes.sort_unstable();
    hashes
}

/// Ascending hashes of every kind: spread evenly, clustered anywhere, clustered so that they wrap
/// around, few with many duplicates, and the ends of the range.
pub(crate) fn any_hashes() -> impl Strategy<Value = Vec<u64>> {
    let near = |base: u64, width: u64| (0..width).prop_map(move |n| base.wrapping_add(n));
    let count = prop_oneof![0..70_usize, 0..70_usize, 100..300_usize, 1000..2000_usize];
    let kind = prop_oneof![
        Just(any::<u64>().boxed()),
        any::<u64>().prop_map(move |base| near(base, 3000).boxed()),
        any::<u64>().prop_map(move |base| near(base, 100).boxed()),
        (1_u64..4000).prop_map(move |width| near(width.wrapping_neg(), width).boxed()),
        (1_u64..20).prop_map(|distinct| (0..distinct).prop_map(spread).boxed()),
        Just(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()].boxed()),
    ];
    (kind, count).prop_flat_map(|(kind, count)| prop::collection::vec(kind, count)).prop_map(
        |mut hashes| {
            hashes.sort_unstable();
            hashes
        },
    )
}

/// False-positive rates on all sides of the limits.
pub(crate) fn any_rate() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => Just(0.01),
        1 => 0.0..1.0,
        1 => Just(0.5),
        1 => Just(1.0 / 65_536.0),
        1 => (1..20_i32).prop_map(|bits| 2_f64.powi(-bits)),
    ]
}
