//! Hostile filters: absurd parameters, lengths and counts, flipped bits, and contradictory
//! contents. Opening must refuse a filter that could hide a run of hashes. A query must never
//! panic, whether the filter was checked or not.

use sst_amqf::QuotientFilter;
use sst_conformance::SplitMix;
use sst_format::filter::{FilterBytes, FilterPolicy};

use crate::allocations::{FIXED_COST, within};
use crate::model::below;
use crate::{Cases, Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "hostile filters",
    about: "filters with absurd parameters, lying lengths, flipped bits and random contents",
    run,
};

/// A filter and the hashes that it contains.
struct Intact {
    hashes: Vec<u64>,
    bytes: Vec<u8>,
}

impl Intact {
    fn of(count: u64) -> Self {
        let mut random = SplitMix::new(count);
        let mut hashes: Vec<u64> = (0..count).map(|_| random.word()).collect();
        hashes.sort_unstable();
        let mut builder = QuotientFilter::default().builder();
        builder.add_hashes(&hashes);
        let bytes = builder.finish().unwrap();
        Self { hashes, bytes }
    }

    /// Whether byte `at` holds remainders. After the length come blocks of 1 + 8 + 8 bytes and 64
    /// remainders of 7 bits. Only a checksum could detect a changed remainder.
    fn is_remainder(&self, at: usize) -> bool {
        let head_len = self.bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
        at >= head_len && at < self.bytes.len() - 12 && (at - head_len) % 73 >= 17
    }
}

/// One changed filter.
struct Lie {
    row: usize,
    filter: usize,
    bytes: Vec<u8>,
    /// Whether opening must refuse it.
    is_refused: bool,
    /// Whether it may deny one of its hashes without any check noticing.
    may_deny: bool,
}

struct Lies<'a> {
    filters: &'a [Intact],
    lies: Vec<Lie>,
}

impl Cases for Lies<'_> {
    type Worker = ();

    fn count(&self) -> usize {
        self.lies.len()
    }

    fn worker(&self) {}

    fn row(&self, case: usize) -> usize {
        self.lies[case].row
    }

    fn name(&self, case: usize) -> String {
        let lie = &self.lies[case];
        let count = self.filters[lie.filter].hashes.len();
        let changed =
            lie.bytes.iter().zip(&self.filters[lie.filter].bytes).position(|(a, b)| a != b);
        format!("filter of {count} hashes, {} bytes, first change at {changed:?}", lie.bytes.len())
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        let lie = &self.lies[case];
        let hashes = &self.filters[lie.filter].hashes;
        // Without the check on opening any answer is allowed, but there must be one.
        _ = denied(&lie.bytes, hashes, false);
        match denied(&lie.bytes, hashes, true) {
            None => Verdict::Detected,
            Some(_) if lie.is_refused => Verdict::Wrong("it can be opened".to_owned()),
            Some(0) => Verdict::Harmless,
            Some(_) if lie.may_deny => Verdict::Explained,
            Some(denied) => Verdict::Wrong(format!("it denies {denied} of its hashes")),
        }
    }
}

/// Number of the hashes that a filter denies; `None` if it cannot be opened.
fn denied(bytes: &[u8], hashes: &[u64], is_checked: bool) -> Option<usize> {
    let policy = QuotientFilter::default().check_on_open(is_checked);
    let bytes = FilterBytes::new(bytes.to_vec());
    within(FIXED_COST, || {
        let filter = policy.open(bytes).ok()?;
        Some(hashes.iter().filter(|&&hash| !filter.may_contain(hash)).count())
    })
}

fn run(context: &Context) -> Vec<Row> {
    let filters: Vec<_> = [1, 40, 50, 300, 500].map(Intact::of).into();
    let mut lies = Vec::new();
    absurd_parameters(&filters, &mut lies);
    lying_lengths(&filters, &mut lies);
    flips(&filters, &mut lies);
    random_contents(context, &filters, &mut lies);
    let remainder = "a filter that forgets the keys of one remainder; only a checksum can tell, and the \
                     protection section has one over it";
    let rows = vec![
        Row::new("absurd parameters", Protection::NotApplicable),
        Row::new("lying lengths", Protection::NotApplicable),
        Row::new("every bit", Protection::Bare).note(remainder),
        Row::new("random contents", Protection::Bare).note(remainder),
    ];
    context.run(rows, &Lies { filters: &filters, lies })
}

fn absurd_parameters(filters: &[Intact], lies: &mut Vec<Lie>) {
    // The last bytes are: number of fingerprints, quotient bits, remainder bits, and 0 for no
    // maximum of quotient bits.
    let intact = &filters[2].bytes;
    let (head, tail) = intact.split_at(intact.len() - 4);
    assert_eq!(*tail, [50, 6, 7, 0]);
    for count in [&[0x7f][..], &[0xff, 0x01], &[0xff; 9], &[0xff; 10], &[0xff; 11], &[]] {
        for quotient_bits in [0, 1, 5, 6, 7, 32, 58, 59, 60, 63, 64, 255] {
            for remainder_bits in [0, 1, 7, 8, 57, 58, 59, 64, 128, 255] {
                for max in [&[0][..], &[1], &[1, 6], &[1, 255], &[2], &[0, 0], &[]] {
                    let bytes = [head, count, &[quotient_bits, remainder_bits], max].concat();
                    lies.push(Lie { row: 0, filter: 2, bytes, is_refused: true, may_deny: false });
                }
            }
        }
    }
}

fn lying_lengths(filters: &[Intact], lies: &mut Vec<Lie>) {
    let intact = &filters[2].bytes;
    let mut refused =
        |bytes| lies.push(Lie { row: 1, filter: 2, bytes, is_refused: true, may_deny: false });
    for len in 0..intact.len() {
        refused(intact[..len].to_vec());
    }
    for more in 1..=64 {
        refused([&intact[..], &vec![0; more]].concat());
    }
    for lie in [&[0][..], &[1], &[0x80, 0], &[0xff; 9], &[0xff; 10], &[0xff; 20]] {
        refused([lie, &intact[1..]].concat());
    }
}

fn flips(filters: &[Intact], lies: &mut Vec<Lie>) {
    for (filter, intact) in filters.iter().enumerate() {
        for at in 0..intact.bytes.len() {
            for bit in 0..8 {
                let mut bytes = intact.bytes.clone();
                bytes[at] ^= 1 << bit;
                let may_deny = intact.is_remainder(at);
                lies.push(Lie { row: 2, filter, bytes, is_refused: false, may_deny });
            }
        }
    }
}

fn random_contents(context: &Context, filters: &[Intact], lies: &mut Vec<Lie>) {
    for case in 0..context.pick(5_000, 200_000) {
        let mut random = context.random("filters", case);
        let mut bytes = filters[3].bytes.clone();
        for _ in 0..=below(&mut random, 6) {
            let at = below(&mut random, bytes.len());
            let len = below(&mut random, 20).min(bytes.len() - at);
            let fill = [0, 0xff, random.bytes(1)[0]][below(&mut random, 3)];
            bytes[at..at + len].fill(fill);
        }
        lies.push(Lie { row: 3, filter: 3, bytes, is_refused: false, may_deny: true });
    }
}
