//! What the suites of faults, crashes and lost power have in common: a file system whose every operation can be tapped,
//! the commits that are put to the test, and a disk that forgets what was not synced.

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
