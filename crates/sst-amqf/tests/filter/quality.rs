//! Size and false-positive rate are as [`sst_amqf::FilterInfo`] states them.

use crate::helpers::{build, spread_hashes};
use sst_amqf::{QuotientFilter, measure_false_positive_rate};
use sst_format::filter::{Filter, FilterBytes, FilterPolicy};

#[test]
fn measured_rate_is_the_expected_one() {
    // 65,536 slots take 62,260 fingerprints, so the first filter is full and the second half full.
    for (count, rate) in [(62_259, 0.01), (33_000, 0.01), (62_259, 0.1), (62_259, 0.001)] {
        let policy = QuotientFilter::with_false_positive_rate(rate);
        let bytes = build(policy, &spread_hashes(count));
        let filter = policy.open(FilterBytes::new(bytes.clone())).unwrap();
        let expected = QuotientFilter::info(&bytes).unwrap().expected_false_positive_rate();
        let measured = measure_false_positive_rate(&*filter, 400_000);
        assert!(expected <= policy.false_positive_rate() && expected <= rate);
        assert!((measured - expected).abs() < expected / 8.0, "{measured} instead of {expected}");
    }
}

#[test]
fn size() {
    let bytes = build(QuotientFilter::default(), &spread_hashes(62_259));
    let info = QuotientFilter::info(&bytes).unwrap();
    assert!(info.load() > 0.94, "{}", info.load());
    // A slot takes 7 bits of remainder and 2.125 bits of block header.
    let bits = info.bits_per_fingerprint();
    assert!((9.5..9.8).contains(&bits), "{bits}");
    assert!(bytes.len() <= info.buffer_len + 24);
}

#[test]
fn always_the_same_questions() {
    #[derive(Debug)]
    struct Even;
    impl Filter for Even {
        fn may_contain(&self, hash: u64) -> bool {
            hash.is_multiple_of(2)
        }
        fn fingerprint_count(&self) -> u64 {
            0
        }
    }
    let rate = measure_false_positive_rate(&Even, 1000);
    assert_eq!(rate, measure_false_positive_rate(&Even, 1000));
    assert!((0.4..0.6).contains(&rate), "{rate}");
    assert_eq!(measure_false_positive_rate(&Even, 0), 0.0);
}

#[test]
fn rates_are_rounded_down_to_a_power_of_two_and_clamped() {
    for (rate, used) in [
        (0.01, 1.0 / 128.0),
        (1.0 / 128.0, 1.0 / 128.0),
        (0.25, 0.25),
        (0.26, 0.25),
        (0.5, 0.5),
        (1.0, 0.5),
        (f64::INFINITY, 0.5),
        (1.0 / 65_536.0, 1.0 / 65_536.0),
        (1e-9, 1.0 / 65_536.0),
        (0.0, 1.0 / 65_536.0),
        (-0.0, 1.0 / 65_536.0),
        (-1.0, 1.0 / 65_536.0),
        (f64::NEG_INFINITY, 1.0 / 65_536.0),
        (f64::NAN, 1.0 / 65_536.0),
    ] {
        let policy = QuotientFilter::with_false_positive_rate(rate);
        assert_eq!(policy.false_positive_rate(), used, "{rate}");
    }
    assert_eq!(QuotientFilter::default(), QuotientFilter::with_false_positive_rate(0.01));
}
