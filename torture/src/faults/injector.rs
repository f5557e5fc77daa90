//! Makes chosen operations fail, and notes the failures and the replacement of `CURRENT`.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::tap::{Operation, Order, Tap};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not done and reports an I/O error; everything after it works. A sync that is tried
    /// again reports success.
    Once,
    /// So do all operations after it: the disk is gone.
    ForGood,
    /// The disk is full: of a write half is done.
    NoSpace,
    /// It is done, and reports an error all the same.
    Afterwards,
    /// A write takes half of its bytes, and says so.
    Short,
    /// A write is interrupted before it did anything.
    Interrupted,
    /// A write takes nothing, and reports no error.
    Zero,
}

/// All of them.
pub const FAULTS: [Fault; 7] = [
    Fault::Once,
    Fault::ForGood,
    Fault::NoSpace,
    Fault::Afterwards,
    Fault::Short,
    Fault::Interrupted,
    Fault::Zero,
];

impl Fault {
    /// Whether it is one that an operation like this can have.
    #[must_use]
    pub const fn applies_to(self, operation: &Operation<'_>) -> bool {
        match self {
            Self::Once | Self::ForGood => true,
            Self::NoSpace => matches!(
                operation,
                Operation::Write { .. }
                    | Operation::Create { .. }
                    | Operation::CreateDirectory { .. }
                    | Operation::Sync { .. }
                    | Operation::PersistNew { .. }
                    | Operation::Replace { .. }
                    | Operation::Lock { .. }
            ),
            Self::Afterwards => !matches!(operation, Operation::Discard { .. }),
            Self::Short => matches!(operation, Operation::Write { bytes, .. } if bytes.len() > 1),
            Self::Interrupted | Self::Zero => matches!(operation, Operation::Write { .. }),
        }
    }

    /// Whether the caller must not notice it.
    #[must_use]
    pub const fn is_benign(self) -> bool {
        matches!(self, Self::Short | Self::Interrupted)
    }
}

/// Lets operations through but for one, or for all from one on.
#[derive(Debug)]
pub struct Injector {
    fault: Fault,
    /// Number of the operation that fails.
    failing: u64,
    operations: AtomicU64,
    /// The work is done: no further operation fails.
    is_over: AtomicBool,
    has_fired: AtomicBool,
    /// A sync failed, of a file or of a directory.
    sync_failed: AtomicBool,
    /// `CURRENT` was to be replaced, whatever came of it.
    is_switch_tried: AtomicBool,
    /// `CURRENT` was replaced, or may have been.
    is_switched: AtomicBool,
    /// `CURRENT` was to be replaced after a sync had failed.
    broke_promise: AtomicBool,
    /// Some removal was not done.
    removal_failed: AtomicBool,
}

impl Injector {
    /// Fails operation number `failing`, counted from 0, if the fault applies to it.
    #[must_use]
    pub fn new(fault: Fault, failing: u64) -> Self {
        Self {
            fault,
            failing,
            operations: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            has_fired: AtomicBool::new(false),
            sync_failed: AtomicBool::new(false),
            is_switch_tried: AtomicBool::new(false),
            is_switched: AtomicBool::new(false),
            broke_promise: AtomicBool::new(false),
            removal_failed: AtomicBool::new(false),
        }
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    /// Ends the work: if the fault has not happened it does not happen any more.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Whether the fault has happened.
    #[must_use]
    pub fn has_fired(&self) -> bool {
        self.has_fired.load(Ordering::SeqCst)
    }

    /// Whether a sync has failed.
    #[must_use]
    pub fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::SeqCst)
    }

    /// Whether the replacement of `CURRENT` was tried: from then on it is unknown which files are
    /// needed.
    #[must_use]
    pub fn is_switch_tried(&self) -> bool {
        self.is_switch_tried.load(Ordering::SeqCst)
    }

    /// Whether `CURRENT` may be the new one.
    #[must_use]
    pub fn is_switched(&self) -> bool {
        self.is_switched.load(Ordering::SeqCst)
    }

    /// Whether `CURRENT` was to be replaced although a sync had failed.
    #[must_use]
    pub fn broke_promise(&self) -> bool {
        self.broke_promise.load(Ordering::SeqCst)
    }

    /// Whether something that should have gone was not removed.
    #[must_use]
    pub fn removal_failed(&self) -> bool {
        self.removal_failed.load(Ordering::SeqCst)
    }

    /// Whether the caller must not notice the fault.
    #[must_use]
    pub const fn is_benign(&self) -> bool {
        self.fault.is_benign()
    }

    /// Whether everything fails from the fault on.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        self.fault == Fault::ForGood && self.has_fired()
    }

    /// Whether a file may have its name although an error was reported: giving it was done and said
    /// to have failed, or taking it back failed.
    #[must_use]
    pub fn may_leave_name(&self) -> bool {
        self.removal_failed() || self.fault == Fault::Afterwards
    }

    /// Whether this operation is to fail.
    fn fails(&self, operation: &Operation<'_>) -> bool {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        let is_next = number == self.failing && !self.is_over.load(Ordering::SeqCst);
        if is_next && self.fault.applies_to(operation) {
            self.has_fired.store(true, Ordering::SeqCst);
            return true;
        }
        self.fault == Fault::ForGood && self.has_fired()
    }

    fn note(&self, operation: &Operation<'_>, order: &Order) {
        let is_done = matches!(order, Order::Proceed | Order::FailAfterwards(_));
        let has_failed = !matches!(order, Order::Proceed);
        match operation {
            Operation::Sync { .. } | Operation::SyncDirectory { .. } if has_failed => {
                self.sync_failed.store(true, Ordering::SeqCst);
            }
            Operation::Replace { .. } => {
                self.broke_promise.fetch_or(self.sync_failed(), Ordering::SeqCst);
                self.is_switch_tried.store(true, Ordering::SeqCst);
                self.is_switched.fetch_or(is_done, Ordering::SeqCst);
            }
            Operation::Discard { .. }
            | Operation::Remove { .. }
            | Operation::RemoveDirectory { .. }
                if !is_done =>
            {
                self.removal_failed.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
    }

    fn order_of(&self, operation: &Operation<'_>) -> Order {
        if !self.fails(operation) {
            return Order::Proceed;
        }
        let on_purpose = || io::Error::other("on purpose");
        let half = match operation {
            Operation::Write { bytes, .. } => bytes.len() / 2,
            _ => 0,
        };
        match self.fault {
            Fault::Once | Fault::ForGood => Order::Fail(on_purpose()),
            Fault::NoSpace => {
                let full = io::Error::from(io::ErrorKind::StorageFull);
                match operation {
                    Operation::Write { .. } => Order::Partial { len: half, error: Some(full) },
                    _ => Order::Fail(full),
                }
            }
            Fault::Afterwards => Order::FailAfterwards(on_purpose()),
            Fault::Short => Order::Partial { len: half, error: None },
            Fault::Interrupted => Order::Fail(io::ErrorKind::Interrupted.into()),
            Fault::Zero => Order::Partial { len: 0, error: None },
        }
    }
}

impl Tap for Injector {
    fn order(&self, operation: &Operation<'_>) -> Order {
        let order = self.order_of(operation);
        self.note(operation, &order);
        match (&order, operation) {
            // Without a crash, reads see written bytes whether they were synced or not.
            (Order::Proceed, Operation::Sync { .. } | Operation::SyncDirectory { .. }) => {
                Order::Pretend
            }
            _ => order,
        }
    }
}

/// Lists the operations of a run, in order: each of them can be made to fail.
#[derive(Debug, Default)]
pub struct Listing(std::sync::Mutex<Vec<Listed>>);

/// An operation, without its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// Its name.
    pub name: &'static str,
    /// Which faults it can have.
    pub faults: [bool; FAULTS.len()],
}

impl Listing {
    /// The operations so far.
    #[must_use]
    pub fn operations(&self) -> Vec<Listed> {
        self.0.lock().unwrap().clone()
    }
}

impl Tap for Listing {
    fn order(&self, operation: &Operation<'_>) -> Order {
        let faults = FAULTS.map(|fault| fault.applies_to(operation));
        self.0.lock().unwrap().push(Listed { name: operation.name(), faults });
        super::tap::WithoutSync.order(operation)
    }
}

/// Whether there is a file, whatever else may be wrong.
#[must_use]
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
