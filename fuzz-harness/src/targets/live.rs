//! The rule of liveness on any chain of meta files. At most one description of each table is live:
//! the one that no later meta file repeats or makes obsolete.

use sst_format::SequenceNumber;
use sst_format::live::{MetaTables, live_tables};

use crate::input::Input;

/// Highest number of meta files in one chain.
const MAX_METAS: u8 = 16;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let metas = chain(&mut Input::new(data));
    let live = live_tables(&metas);
    let mut found = live.iter();
    let mut sorted: Vec<&MetaTables> = metas.iter().collect();
    sorted.sort_by_key(|meta| meta.sequence);
    for meta in sorted {
        for (index, table) in meta.described.iter().enumerate() {
            let newer = metas.iter().filter(|other| other.sequence > meta.sequence);
            let mut later = newer.flat_map(|other| other.obsolete.iter().chain(&other.described));
            let is_repeated = meta.described.iter().skip(index + 1).any(|other| other == table);
            if !is_repeated && later.all(|other| other != table) {
                let wanted = (meta.sequence, index, *table);
                let next = found.next().map(|live| (live.meta.sequence, live.index, live.sequence));
                assert_eq!(next, Some(wanted));
            }
        }
    }
    assert!(found.next().is_none());
}

/// Meta files with distinct numbers, in any order.
fn chain(input: &mut Input<'_>) -> Vec<MetaTables> {
    let mut metas: Vec<MetaTables> = Vec::new();
    for sequence in 0..MAX_METAS {
        if input.is_empty() {
            break;
        }
        let (shape, place) = (input.u8(), usize::from(input.u8()));
        let mut numbers =
            |count: u8| (0..count).map(|_| SequenceNumber(u32::from(input.u8() % 16))).collect();
        let (obsolete, described) = (numbers(shape & 7), numbers(shape >> 4));
        let meta = MetaTables { sequence: SequenceNumber(sequence.into()), obsolete, described };
        metas.insert(place % (metas.len() + 1), meta);
    }
    metas
}
