//! A random chain of meta files, and a model of which of its descriptions are live.

use std::collections::{BTreeMap, BTreeSet};

use sst_format::SequenceNumber;
use sst_format::live::MetaTables;

use crate::SplitMix;

/// Number of tables that the meta files of a chain describe again and name obsolete.
const TABLES: u32 = 8;

/// A table that the first meta file of each chain describes and that stays live, so that no
/// directory is empty.
pub(super) const ALWAYS_LIVE: SequenceNumber = SequenceNumber(TABLES + 1);

/// The sequence number of the first meta file of a chain. It is higher than those of all tables.
const FIRST_META: u32 = 20;

/// The families of the meta files of a chain.
pub(super) const FAMILIES: [u32; 2] = [0, 1];

/// The key that all tables of the pool have in common. Its value is the number of the table.
pub(super) const SHARED_KEY: &[u8] = b"shared";

/// Keys and values, as text or bytes.
pub(super) type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// A chain of meta files, the oldest first, each of one family.
pub(super) struct Chain {
    pub(super) metas: Vec<MetaTables>,
    pub(super) families: Vec<u32>,
    /// Whether each meta file is to be of version 3, which names tables of its own family only.
    /// Older versions may name tables of any family obsolete.
    pub(super) have_heads: Vec<bool>,
}

/// A live description of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Live {
    /// The meta file that describes the table.
    pub(super) meta: SequenceNumber,
    /// The index of the description in the meta file.
    pub(super) index: usize,
    pub(super) table: SequenceNumber,
    pub(super) family: u32,
}

impl Chain {
    /// Makes a chain of up to 6 meta files. Most chains name tables obsolete that are described
    /// again. A table belongs to one family: even numbers to family 0, odd ones to family 1.
    pub(super) fn random(seed: u64) -> Self {
        let mut random = SplitMix::new(seed);
        let (mut metas, mut families, mut have_heads) = (Vec::new(), Vec::new(), Vec::new());
        for sequence in FIRST_META..FIRST_META + 1 + below(&mut random, 6) {
            let (family, has_head) = (below(&mut random, 2), below(&mut random, 2) == 0);
            let mut numbers = |most, of_family| -> Vec<SequenceNumber> {
                let count = below(&mut random, most);
                let any = (0..count).map(|_| 1 + below(&mut random, TABLES));
                // The number of the same pair that is of the family.
                let own =
                    any.map(|any| if of_family { (any - 1) / 2 * 2 + 2 - family } else { any });
                own.map(SequenceNumber).collect()
            };
            let (obsolete, mut described) = (numbers(4, has_head), numbers(5, true));
            if sequence == FIRST_META {
                described.push(ALWAYS_LIVE);
            }
            metas.push(MetaTables { sequence: SequenceNumber(sequence), obsolete, described });
            families.push(family);
            have_heads.push(has_head);
        }
        Self { metas, families, have_heads }
    }

    /// The live descriptions as of the newest meta file, the oldest first.
    pub(super) fn live(&self) -> Vec<Live> {
        self.live_of(self.metas.len())
    }

    /// The live descriptions as of the first `count` meta files, which are a commit by themselves.
    /// Asks the question of FORMAT.md about each description.
    pub(super) fn live_of(&self, count: usize) -> Vec<Live> {
        let metas = self.metas.iter().take(count);
        let described = metas.clone().zip(&self.families).enumerate();
        let described = described.flat_map(|(place, (meta, family))| {
            let tables = meta.described.iter().enumerate();
            tables.map(move |(index, table)| {
                let (table, family) = (*table, *family);
                (place, meta, Live { meta: meta.sequence, index, table, family })
            })
        });
        let is_live = |&(place, meta, live): &(usize, &MetaTables, Live)| {
            let newer = metas.clone().skip(place + 1);
            let mut said_since = newer.flat_map(|meta| meta.obsolete.iter().chain(&meta.described));
            !said_since.any(|table| *table == live.table)
                && !meta.described.iter().skip(live.index + 1).any(|table| *table == live.table)
        };
        described.filter(is_live).map(|(_, _, live)| live).collect()
    }

    /// Numbers of the tables that have files: those that are described.
    pub(super) fn tables(&self) -> BTreeSet<SequenceNumber> {
        self.metas.iter().flat_map(|meta| &meta.described).copied().collect()
    }
}

/// The keys and values of a family with these live descriptions, the oldest first.
pub(super) fn content(live: &[Live], family: u32) -> Content {
    let mut content = Content::new();
    for live in live.iter().filter(|live| live.family == family) {
        let number = live.table.0.to_be_bytes().to_vec();
        content.insert(number.clone(), b"value".to_vec());
        content.insert(SHARED_KEY.to_vec(), number);
    }
    content
}

pub(super) fn below(random: &mut SplitMix, bound: u32) -> u32 {
    // The remainder is below a bound of 32 bits.
    u32::try_from(random.word() % u64::from(bound)).unwrap_or(0)
}
