//! A directory of the file system, or one in a store.

use std::path::{Path, PathBuf};
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
use std::sync::Arc;

use url::Url;

#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
use crate::bounded_http::BoundedConnector;
use crate::error::Cause;
use crate::{RetryPolicy, Store, StoreError};

/// A place for commits: a directory of the file system, or a directory in an object store.
///
/// # Examples
///
/// ```
/// use std::path::Path;
/// use sst_object_store::Place;
///
/// let place = Place::from_url("file:///data/fruit.db")?;
/// assert!(matches!(place, Place::Directory(path) if path == Path::new("/data/fruit.db")));
/// assert!(Place::from_url("fruit.db").is_err());
/// # Ok::<(), sst_object_store::StoreError>(())
/// ```
#[derive(Clone, Debug)]
pub enum Place {
    /// A directory of the file system. Writers hold its lock.
    Directory(PathBuf),
    /// A directory in a store. Writers use conditional requests.
    Bucket(Store),
}

impl Place {
    /// The place of a URL: `file:///path`, `s3://bucket/path`, `gs://bucket/path`,
    /// `az://container/path`, `http://host/path` or `https://host/path`. HTTP can only be read.
    ///
    /// Credentials, endpoints and regions come from the usual environment variables, such as
    /// `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, `GOOGLE_SERVICE_ACCOUNT` or
    /// `AZURE_STORAGE_ACCOUNT_NAME`, and of HTTP the header `Authorization` from
    /// `HTTP_AUTHORIZATION`. An `AWS_ENDPOINT` that begins with `http://` needs
    /// `AWS_ALLOW_HTTP=true`. A URL with a user or a password is refused: URLs are names, which are
    /// printed in messages. No request is made.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadUrl`], also for a store whose feature is not in this build, and for a
    /// variable that cannot be part of a request.
    pub fn from_url(url: impl AsRef<str>) -> Result<Self, StoreError> {
        let text = url.as_ref();
        let bad = |source: Cause| StoreError::BadUrl { url: text.to_owned(), source };
        let url = Url::parse(text).map_err(|error| bad(error.into()))?;
        if url.password().is_some() || !url.username().is_empty() {
            // The error does not repeat it, and neither does a later one.
            let (start, end) =
                (&url[..url::Position::BeforeUsername], &url[url::Position::BeforeHost..]);
            let url = format!("{start}***@{end}");
            return Err(StoreError::BadUrl { url, source: NO_CREDENTIALS.into() });
        }
        // They would be dropped, and two texts would be one place.
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("a place has no `?` or `#`; in a name, they are %3F and %23".into()));
        }
        if url.scheme() != "file" && text.split(['/', '\\']).any(is_dots) {
            return Err(bad("a path in a store has no `.` and `..`".into()));
        }
        match url.scheme() {
            "file" => {
                let path = url.to_file_path();
                path.map(Self::Directory).map_err(|()| bad("not the URL of a local path".into()))
            }
            scheme @ ("s3" | "gs" | "az" | "http" | "https") => {
                bucket(&url, scheme).map(Self::Bucket).map_err(bad)
            }
            scheme => Err(bad(unknown_scheme(scheme).into())),
        }
    }

    /// Whether a text is a URL, and not a path.
    #[must_use]
    pub fn is_url(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    }

    /// The place as a store that can be read.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadUrl`] if there is no such directory.
    pub fn store(&self) -> Result<Store, StoreError> {
        match self {
            Self::Directory(directory) => Store::from_directory(directory),
            Self::Bucket(store) => Ok(store.clone()),
        }
    }

    /// Sets how failed requests to a store are repeated.
    #[must_use]
    pub fn retries(self, retries: RetryPolicy) -> Self {
        match self {
            Self::Bucket(store) => Self::Bucket(store.retries(retries)),
            directory @ Self::Directory(_) => directory,
        }
    }
}

/// Why a scheme is refused, with the one that is meant if other programs call a store so.
fn unknown_scheme(scheme: &str) -> String {
    let known = match scheme {
        "s3a" | "s3n" => "s3",
        "gcs" => "gs",
        "azure" | "abfs" | "abfss" | "wasb" | "wasbs" => "az",
        _ => return format!("no store has the scheme {scheme}"),
    };
    format!("no store has the scheme {scheme}: here such URLs begin with {known}://")
}

/// Why a URL with credentials is refused.
const NO_CREDENTIALS: &str = "a URL is a name, and printed: credentials come from the environment \
     (for HTTP, HTTP_AUTHORIZATION has the header)";

/// Whether a part of a path is `.` or `..`, which a URL leaves out.
fn is_dots(part: &str) -> bool {
    let part = part.to_ascii_lowercase().replace("%2e", ".");
    part == "." || part == ".."
}

impl Store {
    /// The store of a URL, as [`Place::from_url`] takes it. A directory of the file system must
    /// exist.
    ///
    /// # Errors
    ///
    /// As [`Place::from_url`].
    pub fn from_url(url: impl AsRef<str>) -> Result<Self, StoreError> {
        Place::from_url(url)?.store()
    }
}

impl From<&Path> for Place {
    fn from(directory: &Path) -> Self {
        Self::Directory(directory.to_owned())
    }
}

impl From<Store> for Place {
    fn from(store: Store) -> Self {
        Self::Bucket(store)
    }
}

/// The store of a URL, or the reason why there is none.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
fn bucket(url: &Url, scheme: &str) -> Result<Store, Cause> {
    let (_, path) = object_store::ObjectStoreScheme::parse(url)?;
    let host = &url[..url::Position::BeforePath];
    // This crate repeats requests itself, and must know of every answer that was lost.
    let requests = client(url, scheme, 0)?;
    // Parts of uploads change nothing that is visible, and can be repeated only by the client.
    let uploads = client(url, scheme, PART_RETRIES)?;
    let store = Store::new(requests, host, path.as_ref())?;
    let store = store.uploads(uploads);
    Ok(if scheme.starts_with("http") { store.only_gets() } else { store })
}

/// Repetitions of a part of an upload.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
const PART_RETRIES: usize = 8;

/// The client of a store, which repeats each request so often.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
fn client(
    url: &Url,
    scheme: &str,
    max_retries: usize,
) -> Result<Arc<dyn object_store::ObjectStore>, Cause> {
    let retries = object_store::RetryConfig { max_retries, ..Default::default() };
    let text = url.as_str();
    let built: object_store::Result<Arc<dyn object_store::ObjectStore>> = match scheme {
        #[cfg(feature = "aws")]
        "s3" => {
            let builder = crate::aws_settings::builder()?.with_url(text);
            let builder =
                builder.with_http_connector(BoundedConnector::default()).with_retry(retries);
            builder.build().map(|store| Arc::new(store) as _)
        }
        #[cfg(feature = "gcp")]
        "gs" => {
            let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_url(text);
            let builder =
                builder.with_http_connector(BoundedConnector::default()).with_retry(retries);
            builder.build().map(|store| Arc::new(store) as _)
        }
        #[cfg(feature = "azure")]
        "az" => {
            let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_url(text);
            let builder =
                builder.with_http_connector(BoundedConnector::default()).with_retry(retries);
            builder.build().map(|store| Arc::new(store) as _)
        }
        #[cfg(feature = "http")]
        "http" | "https" => {
            let host = &url[..url::Position::BeforePath];
            let options = object_store::ClientOptions::new().with_allow_http(scheme == "http");
            let options = options.with_default_headers(http_headers()?);
            let builder = object_store::http::HttpBuilder::new().with_url(host);
            let builder = builder.with_http_connector(BoundedConnector::default());
            let builder = builder.with_client_options(options).with_retry(retries);
            builder.build().map(|store| Arc::new(store) as _)
        }
        other => return Err(format!("this build has no code for {other} stores").into()),
    };
    Ok(built?)
}

/// The environment variable with the header `Authorization` of requests to `http(s)://`.
#[cfg(feature = "http")]
const HTTP_AUTHORIZATION: &str = "HTTP_AUTHORIZATION";

/// The headers of all requests to `http(s)://`.
#[cfg(feature = "http")]
fn http_headers() -> Result<object_store::HeaderMap, Cause> {
    let mut headers = object_store::HeaderMap::new();
    match std::env::var(HTTP_AUTHORIZATION) {
        Ok(text) => {
            let mut value = object_store::HeaderValue::from_str(&text)?;
            value.set_sensitive(true);
            headers.insert("authorization", value);
        }
        Err(std::env::VarError::NotPresent) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(headers)
}

/// This build has no stores beside directories.
#[cfg(not(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http")))]
fn bucket(_: &Url, scheme: &str) -> Result<Store, Cause> {
    Err(format!("this build has no code for {scheme} stores").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_are_told_apart() {
        assert!(Place::is_url("s3://bucket/fruit.db") && Place::is_url("file:///fruit.db"));
        for path in ["fruit.db", "/data/fruit.db", "a:b", "://x", "C:\\fruit.db"] {
            assert!(!Place::is_url(path), "{path}");
        }
        for url in ["ftp://host/x", "file://host/x", "", "s3:", "fruit.db"] {
            let error = Place::from_url(url).unwrap_err();
            assert!(matches!(error, StoreError::BadUrl { .. }), "{url}");
        }
    }

    #[test]
    fn the_scheme_of_another_program_is_refused_with_the_one_that_is_meant() {
        let reason = |url| match Place::from_url(url).unwrap_err() {
            StoreError::BadUrl { source, .. } => source.to_string(),
            error => panic!("{error:?}"),
        };
        for (url, meant) in
            [("s3a://b/db", "s3://"), ("gcs://b/db", "gs://"), ("abfss://b", "az://")]
        {
            assert!(reason(url).ends_with(meant), "{url}");
        }
        assert_eq!(reason("ftp://host/x"), "no store has the scheme ftp");
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_repeated() {
        for url in ["http://user:secret@host/db", "s3://secret@bucket/db", "https://:secret@h"] {
            let error = Place::from_url(url).unwrap_err();
            let StoreError::BadUrl { url, source } = error else { panic!("{error:?}") };
            assert!(!format!("{url} {source}").contains("secret"), "{url}");
        }
    }

    /// What a URL would drop is refused, so that no two texts are one place.
    #[test]
    fn nothing_of_a_url_is_dropped() {
        for url in ["file:///db#2", "file:///db?version=1", "file:///db?"] {
            let error = Place::from_url(url).unwrap_err();
            assert!(matches!(error, StoreError::BadUrl { .. }), "{url}");
        }
        assert!(Place::from_url("file:///data/fruit%232").is_ok());
        for (part, expected) in [("..", true), (".", true), ("%2E%2e", true), ("...", false)] {
            assert_eq!(is_dots(part), expected, "{part}");
        }
    }
}
