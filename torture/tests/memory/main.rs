//! The memory of every read call and of every input format, measured in one way: an allocator
//! counts the bytes of all threads. It is a program of its own, so that no other test is counted.
//!
//! `cargo test -p sst-torture --test memory -- --nocapture` prints the table of
//! docs/RELIABILITY.md, with `SST_MAX_VALUE_MIB=16` for longer values than by default.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests say what they expect by failing"
)]

mod calls;
mod inputs;
mod parquet_inputs;
mod uploads;

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use calls::Subjects;
use inputs::{Input, MEMORY, MIB, inputs};
use parquet_inputs::DIFFERENCES;
use sst_torture::allocations::{Refusal, process_peak_of, read_limit, refusing, with_room};
use sst_torture::model::scratch;

/// Bytes that a load may take besides `--memory` and the multiple of its limit.
const FIXED: u64 = 8 * MIB;

/// One test at a time: the bytes of the whole process are counted.
static TURN: Mutex<()> = Mutex::new(());

/// A multiple, with one decimal.
fn times(peak: u64, of: u64) -> String {
    format!("{}.{}", peak / of, peak * 10 / of % 10)
}

#[test]
fn the_memory_of_every_call_and_input() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    println!("| call or input | KiB | × stored | × `--memory` | × limit in use |");
    println!("|---|---:|---:|---:|---:|");
    let subjects = Subjects::new();
    for call in subjects.calls() {
        let (result, peak) = process_peak_of(|| (call.run)());
        result.unwrap();
        println!("| {} | {} | {} | | |", call.name, peak >> 10, times(peak, call.stored));
        assert!(peak <= read_limit(call.stored), "{}: {peak} for {}", call.name, call.stored);
    }
    let max = std::env::var("SST_MAX_VALUE_MIB").map_or(2, |mib| mib.parse().unwrap());
    for input in inputs(max * MIB) {
        println!("{}", measure(&input));
    }
}

/// Loads an input and checks its memory. Returns its row of the table.
fn measure(input: &Input) -> String {
    let dir = scratch();
    let (file, db) = (dir.path().join("input"), dir.path().join("db"));
    input.write(&file).unwrap();
    let (code, peak) = process_peak_of(|| input.load(&file, &db, &[]));
    let expected = if input.is_loaded { ExitCode::SUCCESS } else { ExitCode::from(3) };
    assert_eq!(format!("{code:?}"), format!("{expected:?}"), "{}", input.name);
    let of_limit = input
        .limit
        .map_or_else(String::new, |limit| format!("{} ({} MiB)", times(peak, limit), limit / MIB));
    let of_memory = times(peak, MEMORY * MIB);
    let allowed = MEMORY * MIB + FIXED + input.times * input.limit.unwrap_or(0);
    assert!(peak <= allowed, "{}: {peak} bytes of {allowed}", input.name);
    format!("| {} | {} | | {of_memory} | {of_limit} |", input.name, peak >> 10)
}

/// Runs each call again and again, with one more request for memory granted each time, until it has
/// enough: it must end with an error until then, and may not abort the process.
#[test]
fn every_call_ends_with_an_error_where_memory_is_refused() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let subjects = Subjects::new();
    let mut refused = 0;
    for call in subjects.calls() {
        for granted in 0.. {
            // No read has a fixed buffer of that length.
            let refusal = Refusal { smallest_len: 64 << 10, granted };
            let (result, are_used_up) = refusing(refusal, || (call.run)());
            match result {
                Ok(()) if !are_used_up => break,
                Ok(()) => {}
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused >= 40, "{refused} calls were refused memory");
}

/// The same for loads, whose buffers grow with the input.
#[test]
fn every_load_ends_with_an_error_where_memory_is_refused() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let success = format!("{:?}", ExitCode::SUCCESS);
    // The `parquet` crate puts a value that is encoded as a difference together itself: see below.
    let is_ours = |input: &Input| !input.name.starts_with(DIFFERENCES);
    for input in inputs(2 * MIB).into_iter().filter(is_ours) {
        let dir = scratch();
        let file = dir.path().join("input");
        input.write(&file).unwrap();
        let mut granted = 0;
        loop {
            let db = dir.path().join(format!("db-{granted}"));
            // The buffers of files and tables have 256 KiB.
            let refusal = Refusal { smallest_len: 300 << 10, granted };
            let (code, are_used_up) = refusing(refusal, || input.load(&file, &db, &[]));
            let is_loaded = format!("{code:?}") == success;
            if !are_used_up {
                assert_eq!(is_loaded, input.is_loaded, "{}", input.name);
                break;
            }
            granted += 1 + granted / 4;
        }
        println!("{}: {granted} requests", input.name);
    }
}

/// The `parquet` crate puts values together that are encoded as differences, and would abort. So
/// the memory is asked for, and given back, right before. Here less and less of it is there.
#[test]
fn every_load_of_differences_ends_with_an_error_where_memory_is_short() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for input in inputs(2 * MIB).iter().filter(|input| input.name.starts_with(DIFFERENCES)) {
        let dir = scratch();
        let file = dir.path().join("input");
        input.write(&file).unwrap();
        let mut refused = 0;
        for room in (1..10).map(|step| step * (400 << 10)) {
            let db = dir.path().join(format!("db-{room}"));
            let code = with_room(room, 64 << 10, || input.load(&file, &db, &[]));
            refused += u32::from(format!("{code:?}") != format!("{:?}", ExitCode::SUCCESS));
        }
        assert!(refused >= 5, "{refused} loads were refused memory");
    }
}
