//! Tests both sides of the service together: real processes and real sockets, on the loopback
//! interface only. Unix only, since a signal stops the server.

#![cfg(unix)]

#[cfg(test)]
mod limits;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod service;
