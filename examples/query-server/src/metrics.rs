//! The server's metrics in the text format of Prometheus.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sst_reader::SstSet;

/// The outcome of the lookup of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    Found,
    NotFound,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    outcome: Outcome,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Answered {
    Ok,
    NotFound,
    Refused,
    Failed,
}

/// The labels of a request: latency differs by both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    outcome: Answered,
}

/// All metrics of the server.
pub(crate) struct Metrics {
    registry: Registry,
    keys: Family<KeyLabels, Counter>,
    /// Seconds from a request's arrival to its answer.
    request_seconds: Family<RequestLabels, Histogram>,
    age: Gauge<f64, AtomicU64>,
    /// Number of reloads that switched to a new commit.
    pub(crate) reloads: Counter,
    /// Number of failed reloads. After a failure the server continues with its current set.
    pub(crate) reload_failures: Counter,
    commit: Gauge<i64>,
    tables: Gauge<i64>,
    bytes: Gauge<f64, AtomicU64>,
    cache: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("sst");
        let keys = Family::default();
        registry.register("keys", "Keys looked up", keys.clone());
        // Buckets from 10 µs to about 5 s.
        let histogram = || Histogram::new(exponential_buckets(1e-5, 2.0, 20));
        let request_seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register_with_unit(
            "request",
            "Time that requests took",
            Unit::Seconds,
            request_seconds.clone(),
        );
        let reloads = Counter::default();
        registry.register("reloads", "Reloads to a new commit", reloads.clone());
        let reload_failures = Counter::default();
        registry.register("reload_failures", "Reloads that failed", reload_failures.clone());
        let commit = Gauge::default();
        registry.register("commit", "The commit that is served", commit.clone());
        let tables = Gauge::default();
        registry.register("tables", "Tables of the commit that is served", tables.clone());
        let bytes = Gauge::default();
        registry.register_with_unit(
            "tables_size",
            "Length of these tables",
            Unit::Bytes,
            bytes.clone(),
        );
        let age = Gauge::default();
        registry.register_with_unit(
            "data_age",
            "Time since the served commit was known to be the newest",
            Unit::Seconds,
            age.clone(),
        );
        let cache = Gauge::default();
        registry.register_with_unit(
            "cache_size",
            "Uncompressed blocks in the cache",
            Unit::Bytes,
            cache.clone(),
        );
        Self {
            registry,
            keys,
            request_seconds,
            age,
            reloads,
            reload_failures,
            commit,
            tables,
            bytes,
            cache,
        }
    }

    /// Counts the lookup of a key.
    pub(crate) fn count(&self, outcome: Outcome) {
        self.keys.get_or_create(&KeyLabels { outcome }).inc();
    }

    /// Counts a request and its time.
    pub(crate) fn request(&self, route: &'static str, outcome: Answered, time: Duration) {
        let labels = RequestLabels { route, outcome };
        self.request_seconds.get_or_create(&labels).observe(time.as_secs_f64());
    }

    /// Updates the gauges for the set that is served from now on.
    pub(crate) fn show(&self, set: &SstSet) {
        let catalog = set.catalog();
        let tables = || catalog.tables.iter().filter(|table| table.family == set.family());
        self.commit.set(i64::from(catalog.commit.0));
        self.tables.set(i64::try_from(tables().count()).unwrap_or(i64::MAX));
        self.bytes.set(tables().map(|table| table.record.file_size as f64).sum());
    }

    /// All metrics as text. `cache_len` is the size of the cached blocks in bytes, `age` that of
    /// the data.
    pub(crate) fn text(&self, cache_len: u64, age: Duration) -> Result<String, std::fmt::Error> {
        self.age.set(age.as_secs_f64());
        self.cache.set(cache_len as f64);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
