//! A table in memory, looked up from JavaScript; `check.mjs` shows the other side.
//!
//! JavaScript asks for room with [`input`], writes a table or a key there, and calls [`open`] or
//! [`get`]. A value is at [`output`]. All memory belongs to this side, so nothing here is `unsafe`
//! but the names of the functions.

use std::cell::RefCell;

use sst_reader::{Lookup, ReaderOptions, StaticSortedFile};

/// The answer of [`get`] if the table does not have the key, or deletes it.
pub const NOT_FOUND: i32 = -1;

/// The answer of [`get`] if there is no table, or it is damaged at this place. [`output`] has the
/// text of the error.
pub const FAILED: i32 = -2;

#[derive(Default)]
struct State {
    input: Vec<u8>,
    output: Vec<u8>,
    table: Option<StaticSortedFile>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

impl State {
    /// Fills the output, and returns its length.
    fn answer(&mut self, bytes: &[u8]) -> i32 {
        self.output.clear();
        self.output.extend_from_slice(bytes);
        i32::try_from(bytes.len()).unwrap_or(FAILED) // Lengths have 28 bits at most.
    }

    fn fail(&mut self, error: &str) -> i32 {
        self.answer(error.as_bytes());
        FAILED
    }

    fn open(&mut self) -> i32 {
        let bytes = std::mem::take(&mut self.input);
        // Without its description, a table has no filter.
        let opened =
            StaticSortedFile::from_bytes("the input", bytes, None, &ReaderOptions::default());
        match opened {
            Ok(table) => {
                self.table = Some(table);
                0
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn get(&mut self) -> i32 {
        let Some(table) = self.table.take() else { return self.fail("no table was opened") };
        let answer = match table.get(&self.input) {
            Ok(Lookup::Value(value)) => self.answer(&value),
            Ok(Lookup::NotFound | Lookup::Deleted) => NOT_FOUND,
            Ok(Lookup::Blob(_)) => self.fail("the value is in a blob file"),
            Err(error) => self.fail(&error.to_string()),
        };
        self.table = Some(table);
        answer
    }
}

/// Makes room for `len` bytes, and returns where JavaScript writes them.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "JavaScript finds the function by its name, which no other has")]
pub extern "C" fn input(len: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.input.clear();
        state.input.resize(len, 0);
        state.input.as_mut_ptr()
    })
}

/// Opens the table that the input is. Returns 0, or [`FAILED`].
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "as `input`")]
pub extern "C" fn open() -> i32 {
    STATE.with_borrow_mut(State::open)
}

/// Looks up the key that the input is. Returns the length of its value, [`NOT_FOUND`], or
/// [`FAILED`].
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "as `input`")]
pub extern "C" fn get() -> i32 {
    STATE.with_borrow_mut(State::get)
}

/// Where the value or the text of an error is.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "as `input`")]
pub extern "C" fn output() -> *const u8 {
    STATE.with_borrow(|state| state.output.as_ptr())
}
