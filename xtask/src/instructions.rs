//! `cargo xtask instructions`: counts the instructions of fixed operations and compares them with
//! `benches/instructions.json`.
//!
//! Times depend on the machine and on other load; instruction counts hardly do. They do depend on
//! the compiler and on the processor's features. So the counts are compared only if both are the
//! same as in the record. Otherwise, and if valgrind is missing, the command reports that it did
//! not check, and the reason.

mod callgrind;
mod record;

use std::path::Path;

use self::callgrind::Run;
use self::record::{Operation, Record};

/// The record of counts, relative to the root of the workspace.
const RECORD: &str = "benches/instructions.json";

/// Highest increase of a count over the record, in per cent.
///
/// Runs of one build differ by less than 0.2 %, independent of the environment and the directory. A
/// count above the tolerance is measured a second time. Unrelated changes can change inlining and
/// move counts by up to 1 %.
const TOLERANCE_PERCENT: f64 = 2.0;

/// Counts and compares with the record, or replaces the record with `bless`. False if a count is
/// too high, or if the comparison failed for a reason other than a different machine.
pub(crate) fn run(root: &Path, bless: bool) -> bool {
    match check(root, bless) {
        Ok(verdict) => {
            println!("{}", verdict.text);
            verdict.is_ok
        }
        Err(error) => {
            println!("instructions: {error}");
            false
        }
    }
}

/// The result as text, and whether it is ok.
struct Verdict {
    text: String,
    is_ok: bool,
}

impl Verdict {
    fn ok(text: String) -> Self {
        Self { text, is_ok: true }
    }
}

fn check(root: &Path, bless: bool) -> Result<Verdict, String> {
    let Some(valgrind) = callgrind::version() else {
        return Ok(Verdict::ok("instructions: not checked: valgrind is not installed".to_owned()));
    };
    let recorded = Record::read(&root.join(RECORD));
    let rustc = callgrind::rustc_version()?;
    if let (Ok(recorded), false) = (&recorded, bless)
        && let Some(difference) = recorded.other_tools(&rustc, &valgrind)
    {
        return Ok(Verdict::ok(format!("instructions: not checked: {difference}")));
    }
    let mut counted = Record::new(rustc, valgrind, Run::of(root)?);
    if bless {
        counted.write(&root.join(RECORD))?;
        return Ok(Verdict::ok(format!("{}{RECORD} written", table(&counted, &counted))));
    }
    let recorded = recorded?;
    if recorded.features != counted.features {
        return Ok(Verdict::ok(format!(
            "instructions: not checked: the record is of a processor with {}, this one has {}",
            recorded.features, counted.features
        )));
    }
    if counted.operations.iter().any(|now| is_worse(now, &recorded)) {
        counted.keep_least(&Run::of(root)?.operations);
    }
    let worse = counted.operations.iter().filter(|now| is_worse(now, &recorded)).count();
    let missing =
        recorded.operations.iter().filter(|o| counted.operation(&o.name).is_none()).count();
    let summary = match (worse, missing) {
        (0, 0) => format!(
            "instructions: {} operations within {TOLERANCE_PERCENT} %",
            counted.operations.len()
        ),
        _ => format!(
            "instructions: {worse} above the record by more than {TOLERANCE_PERCENT} %, or not in it; {missing} recorded but \
             gone. If that is meant: cargo xtask instructions --bless"
        ),
    };
    Ok(Verdict {
        text: format!("{}{summary}", table(&counted, &recorded)),
        is_ok: worse == 0 && missing == 0,
    })
}

/// Whether `now` is too far above its record, or has no record.
fn is_worse(now: &Operation, recorded: &Record) -> bool {
    recorded
        .operation(&now.name)
        .is_none_or(|before| now.change_percent(before) > TOLERANCE_PERCENT)
}

fn table(counted: &Record, recorded: &Record) -> String {
    let mut text =
        format!("{:24} {:>14} {:>12} {:>9}\n", "operation", "instructions", "each", "change");
    for now in &counted.operations {
        let change = match recorded.operation(&now.name) {
            Some(before) => format!("{:+.2} %", now.change_percent(before)),
            None => "new".to_owned(),
        };
        let mark = match recorded.operation(&now.name) {
            Some(_) if is_worse(now, recorded) => "  WORSE",
            Some(before) if now.change_percent(before) < -TOLERANCE_PERCENT => "  better: bless it",
            _ => "",
        };
        text += &format!(
            "{:24} {:>14} {:>12.1} {:>9}{mark}\n",
            now.name,
            now.instructions,
            now.each(),
            change
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(instructions: u64) -> Record {
        let operation = Operation { name: "hit".to_owned(), times: 10, instructions };
        Record {
            rustc: "rustc 1".to_owned(),
            valgrind: "valgrind 3".to_owned(),
            features: "x86_64".to_owned(),
            operations: vec![operation],
        }
    }

    #[test]
    fn only_a_count_above_the_tolerance_is_worse() {
        let recorded = record(1000);
        let judged =
            |now: u64| record(now).operations.iter().filter(|now| is_worse(now, &recorded)).count();
        assert_eq!((judged(1020), judged(1021), judged(500)), (0, 1, 0));
        assert!(table(&record(1021), &recorded).contains("WORSE"));
        assert!(table(&record(900), &recorded).contains("better"));
    }

    #[test]
    fn of_two_counts_the_lower_one_stays() {
        for (first, second) in [(1021, 1000), (1000, 1021)] {
            let mut counted = record(first);
            counted.keep_least(&record(second).operations);
            assert_eq!(counted, record(1000));
        }
    }

    #[test]
    fn an_operation_without_a_record_is_not_passed_over() {
        let mut renamed = record(1000);
        renamed.operations.iter_mut().for_each(|operation| operation.name = "other".to_owned());
        assert!(renamed.operations.iter().all(|now| is_worse(now, &record(1000))));
    }

    #[test]
    fn other_tools_are_named() {
        let recorded = record(1);
        assert_eq!(recorded.other_tools("rustc 1", "valgrind 3"), None);
        assert!(
            recorded.other_tools("rustc 2", "valgrind 3").is_some_and(|t| t.contains("rustc 2"))
        );
        assert!(
            recorded.other_tools("rustc 1", "valgrind 4").is_some_and(|t| t.contains("valgrind 4"))
        );
    }
}
