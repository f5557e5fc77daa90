//! The rule for which tables of a commit are live (FORMAT.md section 9).
//!
//! The unit of the rule is a description: a pair of a meta file and a table that it describes. One
//! table may have several descriptions, because a later meta file may describe it again. Each meta
//! file makes statements about tables: it first names its obsolete tables, then describes its own
//! tables. Take the meta files from the oldest to the newest. **The last statement about a table
//! counts**: if it is a description, this description is live; if it is "obsolete", no description
//! of the table is live.
//!
//! ```text
//! meta file   obsolete   describes
//!         2              1, 2          2/1 is dead: 4 names table 1 obsolete. 2/2 is live.
//!         4   1          1, 3          4/1 is live: obsolete numbers mean older meta files.
//!                                 4/3 is dead: 5 names table 3 obsolete.
//!         5   3
//! ```
//!
//! The sequence number alone does not tell whether a table is live: in the example, table 1 is dead
//! as meta file 2 describes it, and live as meta file 4 does. The family of a meta file plays no
//! part in the rule, as in the original: sequence numbers are those of files, and a file belongs to
//! one family.

use alloc::vec::Vec;

use crate::SequenceNumber;

/// A meta file, reduced to the parts that the rule needs: parsed from any version, or held in
/// memory.
pub trait DescribesTables {
    /// A description of a table, in the form that the caller chooses.
    type Description<'a>
    where
        Self: 'a;

    /// The meta file's own sequence number.
    fn sequence(&self) -> SequenceNumber;

    /// The tables that it names obsolete, in any order.
    fn obsolete(&self) -> impl Iterator<Item = SequenceNumber>;

    /// The tables that it describes, oldest first.
    fn described(&self) -> impl Iterator<Item = (SequenceNumber, Self::Description<'_>)>;
}

impl<M: DescribesTables> DescribesTables for &M {
    type Description<'a>
        = M::Description<'a>
    where
        Self: 'a;

    fn sequence(&self) -> SequenceNumber {
        (**self).sequence()
    }

    fn obsolete(&self) -> impl Iterator<Item = SequenceNumber> {
        (**self).obsolete()
    }

    fn described(&self) -> impl Iterator<Item = (SequenceNumber, Self::Description<'_>)> {
        (**self).described()
    }
}

/// A live description of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveTable<'a, M: DescribesTables + 'a> {
    /// The meta file that describes it.
    pub meta: &'a M,
    /// Index of the description among those of this meta file.
    pub index: usize,
    /// The table.
    pub sequence: SequenceNumber,
    /// The description.
    pub description: M::Description<'a>,
}

/// The statement of a meta file about a table.
struct Statement<'a, M: DescribesTables + 'a> {
    about: SequenceNumber,
    /// The order of statements: by the sequence number of the meta file; within it, obsolete
    /// numbers come before descriptions.
    at: (SequenceNumber, usize),
    live: Option<LiveTable<'a, M>>,
}

/// The live descriptions among all that `metas` hold, oldest first: in the order of the meta files'
/// sequence numbers, and within a meta file in its own order. Newer tables win over older ones.
///
/// `metas` are the live meta files of one commit in any order; no two have the same sequence
/// number. O(n log n) for n descriptions and obsolete numbers in all of them together.
///
/// # Example
///
/// ```
/// use sst_format::SequenceNumber;
/// use sst_format::live::{MetaTables, live_tables};
///
/// let (one, two, four) = (SequenceNumber(1), SequenceNumber(2), SequenceNumber(4));
/// let metas = [
///     MetaTables { sequence: two, obsolete: vec![], described: vec![one] },
///     MetaTables { sequence: four, obsolete: vec![one], described: vec![one] },
/// ];
/// let live = live_tables(&metas);
/// let live: Vec<_> = live.iter().map(|live| (live.meta.sequence, live.sequence)).collect();
/// assert_eq!(live, [(four, one)]);
/// ```
#[must_use]
pub fn live_tables<M: DescribesTables>(metas: &[M]) -> Vec<LiveTable<'_, M>> {
    let mut statements = Vec::new();
    for meta in metas {
        let at = meta.sequence();
        let obsolete = meta.obsolete();
        statements.extend(obsolete.map(|about| Statement { about, at: (at, 0), live: None }));
        for (index, (sequence, description)) in meta.described().enumerate() {
            let live = Some(LiveTable { meta, index, sequence, description });
            statements.push(Statement { about: sequence, at: (at, index + 1), live });
        }
    }
    statements.sort_unstable_by_key(|statement| (statement.about, statement.at));
    let mut live = Vec::new();
    let mut statements = statements.into_iter().peekable();
    while let Some(statement) = statements.next() {
        let is_last = statements.peek().is_none_or(|next| next.about != statement.about);
        if let (true, Some(table)) = (is_last, statement.live) {
            live.push((statement.at, table));
        }
    }
    live.sort_unstable_by_key(|(at, _)| *at);
    live.into_iter().map(|(_, table)| table).collect()
}

/// A meta file reduced to sequence numbers: the simplest implementation of [`DescribesTables`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaTables {
    /// The meta file's own sequence number.
    pub sequence: SequenceNumber,
    /// The tables that it names obsolete.
    pub obsolete: Vec<SequenceNumber>,
    /// The tables that it describes, oldest first.
    pub described: Vec<SequenceNumber>,
}

impl DescribesTables for MetaTables {
    type Description<'a> = ();

    fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    fn obsolete(&self) -> impl Iterator<Item = SequenceNumber> {
        self.obsolete.iter().copied()
    }

    fn described(&self) -> impl Iterator<Item = (SequenceNumber, ())> {
        self.described.iter().map(|table| (*table, ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A meta file from plain numbers.
    fn meta(sequence: u32, obsolete: &[u32], described: &[u32]) -> MetaTables {
        let numbers = |numbers: &[u32]| numbers.iter().copied().map(SequenceNumber).collect();
        MetaTables {
            sequence: SequenceNumber(sequence),
            obsolete: numbers(obsolete),
            described: numbers(described),
        }
    }

    fn pairs(metas: &[MetaTables]) -> Vec<(u32, u32)> {
        live_tables(metas).iter().map(|live| (live.meta.sequence.0, live.sequence.0)).collect()
    }

    #[test]
    fn the_last_statement_about_a_table_counts() {
        let chain = [meta(2, &[], &[1, 2]), meta(4, &[1], &[1, 3]), meta(5, &[3], &[])];
        assert_eq!(pairs(&chain), [(2, 2), (4, 1)]);
        assert_eq!(pairs(&chain[..2]), [(2, 2), (4, 1), (4, 3)]);
        assert_eq!(pairs(&chain[..1]), [(2, 1), (2, 2)]);
        assert_eq!(pairs(&[]), []);
    }

    #[test]
    fn of_two_descriptions_in_one_file_the_later_counts() {
        let chain = [meta(9, &[7], &[7, 8, 7])];
        let found: Vec<_> = live_tables(&chain).iter().map(|live| live.index).collect();
        assert_eq!(found, [1, 2]);
    }

    #[test]
    fn obsolete_numbers_do_not_reach_newer_meta_files() {
        assert_eq!(pairs(&[meta(3, &[5], &[]), meta(6, &[], &[5])]), [(6, 5)]);
    }

    /// The rule as a question about one description: does a newer meta file name its table?
    fn is_live(metas: &[MetaTables], meta: &MetaTables, index: usize) -> bool {
        let table = meta.described[index];
        let newer = || metas.iter().filter(|other| other.sequence > meta.sequence);
        !newer().any(|other| other.obsolete.contains(&table) || other.described.contains(&table))
            && !meta.described[index + 1..].contains(&table)
    }

    /// A chain of up to 6 meta files about up to 8 tables, in any order.
    fn chain(random: &mut u64) -> Vec<MetaTables> {
        let mut next = |below: u64| {
            *random =
                random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            u32::try_from((*random >> 33) % below).unwrap()
        };
        let mut metas = Vec::new();
        for sequence in 0..next(7) {
            let mut numbers = |most| (0..next(most)).map(|_| next(8)).collect::<Vec<_>>();
            let (obsolete, described) = (numbers(4), numbers(6));
            let at = next(u64::from(sequence) + 1) as usize;
            metas.insert(at, meta(sequence, &obsolete, &described));
        }
        metas
    }

    #[test]
    fn random_chains_are_as_the_rule_says() {
        let mut random = 1;
        for _ in 0..20_000 {
            let metas = chain(&mut random);
            let mut sorted: Vec<&MetaTables> = metas.iter().collect();
            sorted.sort_by_key(|meta| meta.sequence);
            let expected: Vec<(u32, usize)> = sorted
                .iter()
                .flat_map(|meta| (0..meta.described.len()).map(move |index| (*meta, index)))
                .filter(|(meta, index)| is_live(&metas, meta, *index))
                .map(|(meta, index)| (meta.sequence.0, index))
                .collect();
            let live = live_tables(&metas);
            let found: Vec<_> =
                live.iter().map(|live| (live.meta.sequence.0, live.index)).collect();
            assert_eq!(found, expected, "{metas:?}");
        }
    }
}
