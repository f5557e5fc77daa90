//! The HTTP interface.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sst_reader::{ReadError, SstSet};
use tracing::error;

use crate::metrics::Outcome;
use crate::service::Service;

/// Response header with the number of the commit that the answer comes from.
const COMMIT_HEADER: &str = "x-sst-commit";
/// Highest number of keys in one request.
const MAX_KEYS: usize = 10_000;

/// All routes.
pub(crate) fn router(service: Arc<Service>) -> Router {
    let timed = from_fn_with_state(Arc::clone(&service), time);
    Router::new()
        .route("/get/{*key}", get(get_one))
        .route("/multi-get", post(get_many))
        .layer(timed)
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .with_state(service)
}

async fn time(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let response = next.run(request).await;
    service.metrics.request_seconds.observe(started.elapsed().as_secs_f64());
    response
}

/// The reason why a request has no answer.
enum Failure {
    Read(ReadError),
    TooManyKeys,
    Internal(&'static str),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            // The name of the damaged file is logged, but not sent to clients.
            Self::Read(error) => {
                error!(error = &error as &dyn Error, "lookup failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "lookup failed").into_response()
            }
            Self::TooManyKeys => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MAX_KEYS} keys")).into_response()
            }
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
    question: impl FnOnce(&Service, &SstSet) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Failure> {
    let service = Arc::clone(service);
    let answer = tokio::task::spawn_blocking(move || question(&service, &service.set()));
    Ok(answer.await.map_err(|_| Failure::Internal("lookup ended early"))??)
}

/// Looks up one key and counts the outcome.
fn look_up(
    service: &Service,
    set: &SstSet,
    key: &[u8],
) -> Result<Option<axum::body::Bytes>, ReadError> {
    let found = set.get(key);
    service.metrics.count(match &found {
        Ok(value) => outcome_of(value.as_ref()),
        Err(_) => Outcome::Failed,
    });
    // The bytes share the memory of their file or block: nothing is copied.
    Ok(found?.map(sst_reader::Slice::into_bytes))
}

const fn outcome_of<T>(value: Option<&T>) -> Outcome {
    if value.is_some() { Outcome::Found } else { Outcome::NotFound }
}

async fn get_one(
    State(service): State<Arc<Service>>,
    Path(key): Path<String>,
) -> Result<Response, Failure> {
    let (commit, value) = ask(&service, move |service, set| {
        Ok((set.catalog().commit.0, look_up(service, set, key.as_bytes())?))
    })
    .await?;
    let mut response = match value {
        Some(value) => {
            ([(header::CONTENT_TYPE, "application/octet-stream")], value).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    };
    response.headers_mut().insert(COMMIT_HEADER, HeaderValue::from(commit));
    Ok(response)
}

#[derive(Deserialize)]
struct Question {
    keys: Vec<String>,
}

#[derive(Serialize)]
struct Answer {
    commit: u32,
    results: Vec<KeyResult>,
}

/// A key with its value: as text if it is UTF-8, otherwise in Base64. An absent key has neither.
#[derive(Serialize)]
struct KeyResult {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

impl KeyResult {
    fn new(key: String, value: Option<&[u8]>) -> Self {
        let text = value.and_then(|value| std::str::from_utf8(value).ok()).map(str::to_owned);
        let value_base64 = match (value, &text) {
            (Some(value), None) => Some(BASE64.encode(value)),
            _ => None,
        };
        Self { key, value: text, value_base64 }
    }
}

async fn get_many(
    State(service): State<Arc<Service>>,
    Json(Question { keys }): Json<Question>,
) -> Result<Json<Answer>, Failure> {
    if keys.len() > MAX_KEYS {
        return Err(Failure::TooManyKeys);
    }
    let answer = ask(&service, move |service, set| {
        // One call for all keys, so that each table and each of its blocks is visited only once.
        let values =
            set.multi_get(&keys).inspect_err(|_| service.metrics.count(Outcome::Failed))?;
        let results = keys.into_iter().zip(values).map(|(key, value)| {
            service.metrics.count(outcome_of(value.as_ref()));
            KeyResult::new(key, value.as_deref())
        });
        Ok(Answer { commit: set.catalog().commit.0, results: results.collect() })
    });
    Ok(Json(answer.await?))
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    commit: u32,
}

async fn health(State(service): State<Arc<Service>>) -> Json<Health> {
    Json(Health { status: "ok", commit: service.commit() })
}

async fn metrics(State(service): State<Arc<Service>>) -> Result<Response, Failure> {
    const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = service.metrics_text().map_err(|_| Failure::Internal("metrics failed"))?;
    Ok(([(header::CONTENT_TYPE, FORMAT)], text).into_response())
}
