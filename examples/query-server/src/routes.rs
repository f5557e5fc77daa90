//! The HTTP interface.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, extract::FromRef};
use serde::Serialize;
use sst_reader::{ReadError, SstSet};
use tracing::error;

use crate::causes::with_causes;
use crate::metrics::{Answered, Outcome};
use crate::multi_get::{self, Answer, Question, Refused};
use crate::service::Service;

/// Response header with the number of the commit that the answer comes from.
const COMMIT_HEADER: &str = "x-sst-commit";
/// Highest number of keys in one request.
const MAX_KEYS: usize = 10_000;
/// Longest body of a request, in bytes.
const MAX_BODY_LEN: usize = 8 << 20;
/// The path before a key.
const GET: &str = "/get/";

/// The limits of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Time for a client to send the body.
    pub(crate) body: Duration,
    /// Highest number of bytes of the values of an answer.
    pub(crate) answer: u64,
}

#[derive(Clone)]
struct App {
    service: Arc<Service>,
    limits: Limits,
}

impl FromRef<App> for Arc<Service> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.service)
    }
}

/// All routes.
pub(crate) fn router(service: Arc<Service>, limits: Limits) -> Router {
    let timed = from_fn_with_state(Arc::clone(&service), time);
    Router::new()
        .route("/get/", get(get_one))
        .route("/get/{*key}", get(get_one))
        .route("/multi-get", post(get_many))
        .layer(timed)
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .with_state(App { service, limits })
}

async fn time(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = if request.uri().path().starts_with(GET) { "get" } else { "multi-get" };
    let response = next.run(request).await;
    let outcome = match response.status() {
        StatusCode::NOT_FOUND => Answered::NotFound,
        status if status.is_success() => Answered::Ok,
        status if status.is_client_error() => Answered::Refused,
        _ => Answered::Failed,
    };
    service.metrics.request(route, outcome, started.elapsed());
    response
}

/// The reason why a request has no answer.
enum Failure {
    Read(ReadError),
    Refused(StatusCode, String),
    Internal(&'static str),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::OverLimit { limit, .. } => Refused::Answer { limit }.into(),
            // Another server knows. The client, or a router in front, has the ranges of hashes.
            ReadError::OfOtherShard { index, count, .. } => Self::Refused(
                StatusCode::MISDIRECTED_REQUEST,
                format!("the key belongs to another shard: this is shard {index} of {count}"),
            ),
            error => Self::Read(error),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::Json(_) => StatusCode::BAD_REQUEST,
            Refused::Shape(_) | Refused::Base64(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::Answer { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        };
        Self::Refused(status, refused.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            // The name of the damaged file is logged, but not sent to clients.
            Self::Read(error) => {
                error!(error = with_causes(&error), "lookup failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "lookup failed").into_response()
            }
            Self::Refused(status, why) => (status, why).into_response(),
            Self::Internal(what) => {
                error!("{what}");
                (StatusCode::INTERNAL_SERVER_ERROR, what).into_response()
            }
        }
    }
}

/// Answers from the current set, on a thread that may block on a disk.
async fn ask<T: Send + 'static>(
    service: &Arc<Service>,
    mut question: impl FnMut(&SstSet) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Failure> {
    let here = Arc::clone(service);
    let answer = tokio::task::spawn_blocking(move || here.ask(&mut question));
    let answer = answer.await.map_err(|_| Failure::Internal("lookup ended early"))?;
    // A key of another shard is no failure of this server.
    if answer.as_ref().is_err_and(|error| !matches!(error, ReadError::OfOtherShard { .. })) {
        service.metrics.count(Outcome::Failed);
    }
    Ok(answer?)
}

const fn outcome_of(is_found: bool) -> Outcome {
    if is_found { Outcome::Found } else { Outcome::NotFound }
}

async fn get_one(State(service): State<Arc<Service>>, uri: Uri) -> Result<Response, Failure> {
    // The key is the rest of the path: any bytes, percent-encoded, and there may be none.
    let key = percent_decoded(uri.path().strip_prefix(GET).unwrap_or(uri.path()));
    let (commit, value) = ask(&service, move |set| {
        // The bytes share the memory of their file or block: nothing is copied.
        let value = set.get(&key)?.map(sst_reader::Slice::into_bytes);
        Ok((set.catalog().commit.0, value))
    })
    .await?;
    service.metrics.count(outcome_of(value.is_some()));
    let mut response = match value {
        Some(value) => {
            ([(header::CONTENT_TYPE, "application/octet-stream")], value).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    };
    response.headers_mut().insert(COMMIT_HEADER, HeaderValue::from(commit));
    Ok(response)
}

/// The bytes of a part of a path. A percent sign without two hex digits stands for itself.
fn percent_decoded(path: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (mut decoded, mut rest) = (Vec::new(), path.as_bytes());
    while let Some((byte, others)) = rest.split_first() {
        let hex = digit(others.first()).zip(digit(others.get(1)));
        match (byte, hex.map(|(high, low)| u8::try_from(high << 4 | low))) {
            (b'%', Some(Ok(escaped))) => {
                decoded.push(escaped);
                // The two digits are there.
                rest = others.get(2..).unwrap_or(&[]);
            }
            _ => {
                decoded.push(*byte);
                rest = others;
            }
        }
    }
    decoded
}

async fn get_many(
    State(App { service, limits }): State<App>,
    body: Body,
) -> Result<Json<Answer>, Failure> {
    let question = Question::parse(&read(body, limits).await?)?;
    if question.keys.len() > MAX_KEYS {
        let why = format!("at most {MAX_KEYS} keys");
        return Err(Failure::Refused(StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    let answer = ask(&service, move |set| multi_get::answer(set, &question, limits.answer));
    let answer = answer.await??;
    for result in &answer.results {
        service.metrics.count(outcome_of(result.is_found()));
    }
    Ok(Json(answer))
}

/// The body of a request, whatever its content type: `curl -d` says that it sends a form.
async fn read(body: Body, limits: Limits) -> Result<Bytes, Failure> {
    match tokio::time::timeout(limits.body, to_bytes(body, MAX_BODY_LEN)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let why = format!("the body has more than {MAX_BODY_LEN} bytes, or ended early");
            Err(Failure::Refused(StatusCode::PAYLOAD_TOO_LARGE, why))
        }
        Err(_) => {
            let why = format!("the body did not come within {} s", limits.body.as_secs());
            Err(Failure::Refused(StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    commit: u32,
    /// Seconds since the served commit was known to be the newest.
    age_seconds: f64,
}

impl Health {
    fn of(service: &Service) -> Self {
        let status = if service.is_ready() { "ok" } else { "reloads fail" };
        Self { status, commit: service.commit(), age_seconds: service.age().as_secs_f64() }
    }
}

/// Whether the process works: it answers from the commit that it has.
async fn health(State(service): State<Arc<Service>>) -> Json<Health> {
    Json(Health { status: "ok", ..Health::of(&service) })
}

/// Whether the answers are those of the newest commit, as far as is known.
async fn readiness(State(service): State<Arc<Service>>) -> (StatusCode, Json<Health>) {
    let status = match service.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(Health::of(&service)))
}

async fn metrics(State(service): State<Arc<Service>>) -> Result<Response, Failure> {
    const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = service.metrics_text().map_err(|_| Failure::Internal("metrics failed"))?;
    Ok(([(header::CONTENT_TYPE, FORMAT)], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_paths_are_any_bytes() {
        for (path, key) in [
            ("", &b""[..]),
            ("a/b", b"a/b"),
            ("%00%ff%C3%A4", b"\0\xff\xc3\xa4"),
            ("100%", b"100%"),
            ("%4", b"%4"),
            ("%zz%41", b"%zzA"),
        ] {
            assert_eq!(percent_decoded(path), key, "{path}");
        }
    }
}
