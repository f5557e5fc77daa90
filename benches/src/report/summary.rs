//! The text above the tables.

use crate::run::Run;

/// A machine is quiet if the wall-clock time of one thread divided by its processor time is less
/// than this.
const QUIET: f64 = 1.1;

/// Returns whether wall-clock times are reliable.
pub(super) fn is_quiet(run: &Run) -> bool {
    run.busyness < QUIET
}

/// Returns the paragraphs of the summary in plain text.
pub(super) fn lines(run: &Run) -> Vec<String> {
    let busy = if is_quiet(run) {
        "The machine was quiet.".to_owned()
    } else {
        format!(
            "The machine was busy with other things: one thread took {:.1} times as long in wall-clock time as in processor \
             time. Figures with two threads are unreliable then.",
            run.busyness
        )
    };
    let mut lines = vec![
        format!(
            "{}, {}. Medians of {} rounds, in each of which everything was measured in turn. {busy}",
            run.date.get(..10).unwrap_or(&run.date),
            run.machine,
            run.rounds
        ),
        format!("Arguments: `{}`.", run.arguments),
    ];
    lines.extend(run.absent.iter().map(|absent| format!("Not here: {absent}.")));
    lines
}
