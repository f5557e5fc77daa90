//! The query side of a service: serves a directory over HTTP, reloads it after new commits, exposes
//! metrics, and shuts down cleanly. It depends on the reader and the filter, not on the writer.
//! README.md describes its use.

#![forbid(unsafe_code)]

mod arguments;
mod causes;
mod metrics;
mod multi_get;
mod reload;
mod routes;
mod server;
mod service;
mod shutdown;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use sst_reader::ReadError;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracing::{error, info};

use crate::arguments::{Arguments, LogFormat};
use crate::causes::with_causes;
use crate::service::Service;

/// The reason why the server could not start, or stopped.
#[derive(Debug, thiserror::Error)]
enum ServerError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot {action}")]
    Io { action: &'static str, source: std::io::Error },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.log);
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(source) => {
            error!(error = %source, "cannot start threads");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(&arguments));
    // Do not wait for a lookup that takes longer than the time for draining.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(()) => {
            info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            error!(error = with_causes(&error), "failed");
            ExitCode::FAILURE
        }
    }
}

fn start_log(format: LogFormat) {
    let log = tracing_subscriber::fmt();
    match format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Text => log.init(),
    }
}

async fn run(arguments: &Arguments) -> Result<(), ServerError> {
    let service = Arc::new(Service::open(arguments)?);
    let io = |action| move |source| ServerError::Io { action, source };
    let listener = TcpListener::bind(arguments.listen).await.map_err(io("listen"))?;
    let address = listener.local_addr().map_err(io("listen"))?;
    let stop = shutdown::signals().map_err(io("wait for signals"))?;
    info!(%address, directory = %arguments.directory.display(), commit = service.commit(), "listening");

    let poll = Duration::from_millis(arguments.poll_millis);
    let reloading = tokio::spawn(reload::follow(Arc::clone(&service), poll));
    let stop = async {
        let signal = stop.await;
        info!(signal, "stopping: no new connections, requests under way are finished");
    };
    let request = Duration::from_secs(arguments.request_seconds);
    let limits = server::Limits {
        connections: usize::from(arguments.max_connections),
        head: request,
        drain: Duration::from_secs(arguments.drain_seconds),
    };
    let answers = routes::Limits { body: request, answer: arguments.max_answer_bytes() };
    server::serve(listener, routes::router(service, answers), limits, stop).await;
    reloading.abort();
    Ok(())
}
