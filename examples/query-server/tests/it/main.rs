//! Both sides of the service together: real processes, real sockets, on the loopback interface
//! only. Unix only: the server is told to stop by a signal.

#![cfg(unix)]

#[cfg(test)]
mod operations;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod service;
