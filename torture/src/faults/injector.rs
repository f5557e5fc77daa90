//! Makes chosen operations fail. Records failures and the replacement of `CURRENT`.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::tap::{Operation, Order, Tap};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation is not done and reports an I/O error. All later operations work; a repeated
    /// sync reports success.
    Once,
    /// Like `Once`, but all later operations fail too: the disk is gone.
    ForGood,
    /// The disk is full. Half of a write is done.
    NoSpace,
    /// The operation is done, but reports an error.
    Afterwards,
    /// A write writes half of its bytes and reports that.
    Short,
    /// A write is interrupted before it wrote any bytes.
    Interrupted,
    /// A write writes no bytes and reports no error.
    Zero,
}

/// All faults.
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
    /// Whether this fault can happen to this operation.
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

    /// Whether the caller must hide this fault by trying again.
    #[must_use]
    pub const fn is_benign(self) -> bool {
        matches!(self, Self::Short | Self::Interrupted)
    }
}

/// Lets all operations pass except one, or except all from one on.
#[derive(Debug)]
pub struct Injector {
    fault: Fault,
    /// Number of the operation that fails, counted from 0.
    failing: u64,
    operations: AtomicU64,
    /// The work has ended: no further operation fails.
    is_over: AtomicBool,
    has_fired: AtomicBool,
    /// A sync failed, of a file or of a directory.
    sync_failed: AtomicBool,
    /// A replacement of `CURRENT` was tried, successfully or not.
    is_switch_tried: AtomicBool,
    /// `CURRENT` was replaced, or may have been.
    is_switched: AtomicBool,
    /// A replacement of `CURRENT` was tried after a sync had failed.
    broke_promise: AtomicBool,
    /// A removal failed.
    removal_failed: AtomicBool,
}

impl Injector {
    /// Fails the operation with number `failing`, counted from 0, if the fault applies to it.
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

    /// Number of operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    /// Ends the work. A fault that has not happened by now will not happen.
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

    /// Whether the replacement of `CURRENT` was tried. From then on it is unknown which files are
    /// needed.
    #[must_use]
    pub fn is_switch_tried(&self) -> bool {
        self.is_switch_tried.load(Ordering::SeqCst)
    }

    /// Whether `CURRENT` may have the new content.
    #[must_use]
    pub fn is_switched(&self) -> bool {
        self.is_switched.load(Ordering::SeqCst)
    }

    /// Whether a replacement of `CURRENT` was tried after a sync had failed.
    #[must_use]
    pub fn broke_promise(&self) -> bool {
        self.broke_promise.load(Ordering::SeqCst)
    }

    /// Whether a file or directory that should have been removed is still there.
    #[must_use]
    pub fn removal_failed(&self) -> bool {
        self.removal_failed.load(Ordering::SeqCst)
    }

    /// Whether the caller must hide the fault by trying again.
    #[must_use]
    pub const fn is_benign(&self) -> bool {
        self.fault.is_benign()
    }

    /// Whether all operations fail since the fault.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        self.fault == Fault::ForGood && self.has_fired()
    }

    /// Whether a file may have its name although an error was reported: the renaming was done but
    /// reported an error, or undoing it failed.
    #[must_use]
    pub fn may_leave_name(&self) -> bool {
        self.removal_failed() || self.fault == Fault::Afterwards
    }

    /// Whether this operation must fail.
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
            // Syncs are skipped, since without a crash reads see all written bytes.
            (Order::Proceed, Operation::Sync { .. } | Operation::SyncDirectory { .. }) => {
                Order::Pretend
            }
            _ => order,
        }
    }
}

/// Lists the operations of a run, in order. Each of them can then be made to fail.
#[derive(Debug, Default)]
pub struct Listing(std::sync::Mutex<Vec<Listed>>);

/// An operation, without its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// The operation's name.
    pub name: &'static str,
    /// For each fault of [`FAULTS`], whether it can happen to the operation.
    pub faults: [bool; FAULTS.len()],
}

impl Listing {
    /// The operations listed so far.
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

/// Whether a file exists, readable or not.
#[must_use]
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
