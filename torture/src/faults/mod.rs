//! The shared part of the suites of faults, crashes and lost power: a file system with a tap on
//! every operation, the commits under test, and a disk that loses writes that were not synced.

pub mod disk;
pub mod gathering;
pub mod injector;
pub mod load;
pub mod recorder;
pub mod scenario;
pub mod steps;
pub mod tap;

pub use injector::{Fault, Injector};
pub use load::Load;
pub use scenario::{Action, Scenario};
pub use steps::{Content, Seen, Step};
pub use tap::{Operation, Order, Tap, Tapped};
