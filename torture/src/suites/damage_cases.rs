//! Damages to subjects as cases, shared by the suites [`every_bit`](super::every_bit) and
//! [`other_damage`](super::other_damage).

use sst_reader::{Access, Diagnosis, FlippedBit, Origin};

use crate::model::damage::{Damage, is_taken_for_raw};
use crate::model::region::Region;
use crate::model::subject::{Examiner, Finding, Subject, SubjectFile};
use crate::{Cases, Protection, Row, Verdict};

/// One kind of damage to one file.
struct Group {
    subject: usize,
    file: usize,
    access: Access,
    damage: Damage,
    row: RowOf,
    /// Number of the first case after this group.
    end: usize,
}

/// The row that counts a case.
enum RowOf {
    /// The row of this index.
    One(usize),
    /// The row of the region that contains the flipped bit.
    Region,
}

/// All cases of a suite of damages.
pub(super) struct DamageCases<'a> {
    subjects: &'a [Subject],
    groups: Vec<Group>,
    /// Name and protection of each row.
    rows: Vec<(&'static str, Protection)>,
}

impl<'a> DamageCases<'a> {
    /// A suite without cases.
    pub(super) const fn new(subjects: &'a [Subject]) -> Self {
        Self { subjects, groups: Vec::new(), rows: Vec::new() }
    }

    /// Adds all damages of a kind to a file. The row with this name counts them.
    pub(super) fn add(
        &mut self,
        test: &'static str,
        (subject, file): (usize, usize),
        access: Access,
        damage: Damage,
    ) {
        let row = RowOf::One(self.row_of(test, self.subjects[subject].protection));
        self.push(subject, file, access, damage, row);
    }

    /// Adds all damages of a kind to a file. The rows of their regions count them.
    pub(super) fn add_by_region(
        &mut self,
        (subject, file): (usize, usize),
        access: Access,
        damage: Damage,
    ) {
        let Subject { protection, files, .. } = &self.subjects[subject];
        let mut regions: Vec<_> =
            (0..files[file].bytes.len()).map(|at| files[file].region(at)).collect();
        regions.dedup();
        for region in regions {
            self.row_of(region.name(), *protection);
        }
        self.push(subject, file, access, damage, RowOf::Region);
    }

    fn push(&mut self, subject: usize, file: usize, access: Access, damage: Damage, row: RowOf) {
        let count = damage.count(&self.subjects[subject].files[file]);
        let end = self.count() + count;
        self.groups.push(Group { subject, file, access, damage, row, end });
    }

    /// The index of a row. The row is added if it does not exist.
    fn row_of(&mut self, test: &'static str, protection: Protection) -> usize {
        let wanted = (test, protection);
        self.rows.iter().position(|row| *row == wanted).unwrap_or_else(|| {
            self.rows.push(wanted);
            self.rows.len() - 1
        })
    }

    /// The rows without counts, with notes for explained cases.
    pub(super) fn rows(&self, note: impl Fn(&str, Protection) -> Option<String>) -> Vec<Row> {
        let row = |&(test, protection): &(&'static str, Protection)| {
            let mut row = Row::new(test, protection);
            row.note = note(test, protection);
            row
        };
        self.rows.iter().map(row).collect()
    }

    /// The group of a case, and the number of the case within the group.
    fn group(&self, case: usize) -> (&Group, usize) {
        let i = self.groups.partition_point(|group| group.end <= case);
        let start = i.checked_sub(1).map_or(0, |before| self.groups[before].end);
        (&self.groups[i], case - start)
    }
}

impl Cases for DamageCases<'_> {
    type Worker = Examiner;

    fn count(&self) -> usize {
        self.groups.last().map_or(0, |group| group.end)
    }

    fn worker(&self) -> Examiner {
        Examiner::new()
    }

    fn row(&self, case: usize) -> usize {
        let (group, i) = self.group(case);
        let (step, offset) = match (&group.row, &group.damage) {
            (RowOf::One(row), _) => return *row,
            (RowOf::Region, Damage::Bits { step, offset }) => (step, offset),
            (RowOf::Region, damage) => unreachable!("{damage:?} belongs to no one region"),
        };
        let subject = &self.subjects[group.subject];
        let region = subject.files[group.file].region((offset + i * step) / 8);
        let wanted = (region.name(), subject.protection);
        self.rows.iter().position(|row| *row == wanted).unwrap()
    }

    fn name(&self, case: usize) -> String {
        let (group, i) = self.group(case);
        let subject = &self.subjects[group.subject];
        let file = &subject.files[group.file];
        let what = group.damage.describe(file, i);
        format!("{}, {}, {what}, {:?}", subject.name, file.name, group.access)
    }

    fn run(&self, examiner: &mut Examiner, case: usize) -> Verdict {
        let (group, i) = self.group(case);
        let subject = &self.subjects[group.subject];
        let file = &subject.files[group.file];
        let content = group.damage.apply(file, i);
        let is_explained = |content: Option<&[u8]>| {
            let is_described_only = matches!(file.region(0), Region::Meta | Region::Current);
            subject.protection == Protection::Bare
                && (is_described_only
                    || group.damage.moves_whole_parts()
                    || content.is_some_and(|content| is_taken_for_raw(file, content)))
        };
        let kept = (subject.protection == Protection::Bare).then(|| content.clone()).flatten();
        let finding = examiner.examine(subject, group.file, content, group.access);
        if let Damage::Bits { step, offset } = group.damage
            && let Some(wrong) = misnamed(subject, file, offset + i * step, &finding)
        {
            return Verdict::Wrong(wrong);
        }
        verdict(finding, || is_explained(kept.as_deref()))
    }
}

/// Checks the diagnosis of a flipped bit. Returns the error if the checksum identifies a bit
/// exactly but the diagnosis does not name it.
fn misnamed(
    subject: &Subject,
    file: &SubjectFile,
    flipped: usize,
    finding: &Finding,
) -> Option<String> {
    let (byte, bit) = (flipped / 8, flipped % 8);
    let has_to_be_named = match file.region(byte) {
        Region::Payload | Region::Checksum | Region::BlobPayload | Region::BlobChecksum => true,
        Region::SizeWord | Region::BlobSizeWord | Region::Current => {
            subject.protection == Protection::Protected
        }
        // Fields read before a meta file's checksum was verified may be refused for another reason.
        Region::Meta | Region::Filter | Region::SectionAreas | Region::Section => {
            subject.protection == Protection::Protected && finding.diagnosis.is_some()
        }
        Region::Offsets => false,
    };
    let is_file = subject.is_directory();
    let named = finding.diagnosis.is_some_and(|Diagnosis { flipped, origin, .. }| {
        let is_bit = |named: FlippedBit| named.byte == byte as u64 && usize::from(named.bit) == bit;
        let is_disk = matches!(origin, Origin::Disk | Origin::DiskOrSystemCache);
        flipped.is_some_and(is_bit) && is_disk == is_file
    });
    (has_to_be_named && finding.verified && !named)
        .then(|| format!("the diagnosis is another: {:?}", finding.diagnosis))
}

fn verdict(finding: Finding, is_explained: impl FnOnce() -> bool) -> Verdict {
    match finding {
        Finding { misfiled: Some(error), .. } => {
            Verdict::Wrong(format!("damage passes for trouble of the system: {error}"))
        }
        Finding { wrong: Some(wrong), .. } => match is_explained() {
            true => Verdict::Explained,
            false => Verdict::Wrong(wrong),
        },
        Finding { reads_failed: true, verified: false, .. } => {
            Verdict::Wrong("a lookup fails, yet verification finds nothing".to_owned())
        }
        Finding { verified: true, .. } => Verdict::Detected,
        Finding { .. } => Verdict::Harmless,
    }
}
