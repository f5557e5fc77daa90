//! The step from sorted records to the entries of tables.

use super::bulk_error::BulkError;
use super::duplicates::Duplicates;
use super::input_position::InputPosition;
use super::key_group::{KeyGroup, Tail, Verdict};
use super::record::{Record, RecordValue};
use super::record_sink::{RecordSink, SortedRecord};
use super::table_sequence::TableSequence;
use crate::WriteError;
use crate::invariant::BrokenInvariant;
use crate::table::ShortKey;

/// A key with more than one record, and the input positions of the first two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DuplicateKey {
    pub(super) key: ShortKey,
    pub(super) first: InputPosition,
    pub(super) second: InputPosition,
}

/// Groups the records of each key, and adds those that are kept to tables.
pub(super) struct Resolver<'a> {
    tables: TableSequence<'a>,
    policy: Duplicates,
    group: Option<Group>,
    /// Reused for every group with more than one record.
    buffers: Buffers,
    pub(super) left_out: u64,
    /// Of all keys with two records, the one whose second record has the lowest input position.
    pub(super) duplicate: Option<DuplicateKey>,
}

/// The records of the current key so far.
struct Group {
    hash: u64,
    state: KeyGroup,
}

/// Copies of the parts of a group that are needed after their records are gone.
#[derive(Default)]
struct Buffers {
    key: Vec<u8>,
    held: Option<HeldRecord>,
    value: Vec<u8>,
}

/// A held record. Its value bytes are in [`Buffers::value`].
#[derive(Clone, Copy)]
struct HeldRecord {
    input_position: InputPosition,
    value: HeldValue,
}

#[derive(Clone, Copy)]
enum HeldValue {
    Bytes,
    Other(RecordValue<'static>),
}

impl<'a> Resolver<'a> {
    pub(super) fn new(tables: TableSequence<'a>, policy: Duplicates) -> Self {
        Self {
            tables,
            policy,
            group: None,
            buffers: Buffers::default(),
            left_out: 0,
            duplicate: None,
        }
    }

    /// Ends the last group, and returns the tables.
    pub(super) fn finish(&mut self) -> Result<&mut TableSequence<'a>, BulkError> {
        self.end_group()?;
        Ok(&mut self.tables)
    }

    fn end_group(&mut self) -> Result<(), BulkError> {
        let Some(mut group) = self.group.take() else { return Ok(()) };
        let tail = group.state.end();
        self.left_out += group.state.left_out();
        if let Some((first, second)) = group.state.duplicate() {
            self.note_duplicate(first, second);
        }
        let Buffers { key, held, value } = &mut self.buffers;
        let (input_position, value) = match (tail, held.take()) {
            (Tail::Held, Some(HeldRecord { input_position, value: HeldValue::Bytes })) => {
                (input_position, RecordValue::Bytes(value))
            }
            (Tail::Held, Some(HeldRecord { input_position, value: HeldValue::Other(value) })) => {
                (input_position, value)
            }
            (Tail::Held, None) => {
                return Err(BrokenInvariant::new("a group that holds a record has it").into());
            }
            (Tail::Deletion(input_position), _) => (input_position, RecordValue::Deleted),
            (Tail::Nothing, _) => return Ok(()),
        };
        self.tables.add(group.hash, &Record { input_position, key, value })
    }

    fn note_duplicate(&mut self, first: InputPosition, second: InputPosition) {
        if self.duplicate.as_ref().is_none_or(|known| second < known.second) {
            let key = ShortKey::new(&self.buffers.key);
            self.duplicate = Some(DuplicateKey { key, first, second });
        }
        self.tables.stop_writing();
    }

    fn hold(&mut self, record: &Record<'_>) -> Result<(), BulkError> {
        let value = match record.value {
            RecordValue::Bytes(bytes) => {
                self.buffers.value.clear();
                WriteError::try_reserve(&mut self.buffers.value, bytes.len())?;
                self.buffers.value.extend_from_slice(bytes);
                HeldValue::Bytes
            }
            RecordValue::Deleted => HeldValue::Other(RecordValue::Deleted),
            RecordValue::Blob(ticket) => HeldValue::Other(RecordValue::Blob(ticket)),
            RecordValue::Detached(value) => HeldValue::Other(RecordValue::Detached(value)),
        };
        self.buffers.held = Some(HeldRecord { input_position: record.input_position, value });
        Ok(())
    }
}

impl RecordSink for Resolver<'_> {
    #[inline]
    fn accept(&mut self, sorted: SortedRecord<'_>) -> Result<(), BulkError> {
        let SortedRecord { hash, record, is_alone } = sorted;
        let same_key = |group: &Group, key: &[u8]| group.hash == hash && key == record.key;
        if self.group.as_ref().is_some_and(|group| !same_key(group, &self.buffers.key)) {
            self.end_group()?;
        }
        if is_alone {
            return self.tables.add(hash, &record);
        }
        let group = match &mut self.group {
            Some(group) => group,
            None => {
                self.buffers.key.clear();
                self.buffers.key.extend_from_slice(record.key);
                self.group.insert(Group { hash, state: KeyGroup::new(self.policy) })
            }
        };
        match group.state.accept(record.input_position, record.is_deletion()) {
            Verdict::Emit => self.tables.add(hash, &record),
            Verdict::Hold => self.hold(&record),
            Verdict::Skip => Ok(()),
        }
    }
}
