//! Repetition of requests that failed.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use object_store::Error;

/// How requests that failed are repeated.
///
/// Every request of this crate can be repeated: reads change nothing, and what is written is either
/// a file that never changes, or conditional. The repetitions of the clients of cloud stores are
/// turned off, except for the parts of uploads, which only a client can repeat.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Highest number of attempts; 0 counts as 1. Default: 8.
    pub attempts: u32,
    /// Delay before the second attempt. It doubles with each further attempt, and a random part of
    /// up to a half is left out, so that many clients of a busy store do not return together.
    /// Default: 100 milliseconds.
    pub first_delay: Duration,
    /// Longest delay. Default: 10 seconds.
    pub max_delay: Duration,
    /// Time after which an attempt without an answer counts as failed. Default: 2 minutes.
    pub timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
            timeout: Duration::from_secs(120),
        }
    }
}

/// A request whose last attempt failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) attempts: u32,
    pub(crate) error: Error,
}

impl RetryPolicy {
    /// Sets the number of attempts.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the delay before the second attempt, and the longest delay.
    #[must_use]
    pub const fn delays(mut self, first: Duration, longest: Duration) -> Self {
        (self.first_delay, self.max_delay) = (first, longest);
        self
    }

    /// Sets the time after which an attempt counts as failed.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes a request until it succeeds, fails for good, or has failed often enough. From the
    /// second attempt on, an earlier one may have happened although its answer was lost.
    pub(crate) async fn run<T, F: Future<Output = Result<T, Error>>>(
        &self,
        mut request: impl FnMut() -> F,
    ) -> Result<T, Failure> {
        let mut attempts = 0;
        let mut delay = self.first_delay;
        loop {
            attempts += 1;
            let answer = tokio::time::timeout(self.timeout, request()).await;
            let error = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(elapsed) => Error::Generic { store: "timeout", source: elapsed.into() },
            };
            if attempts >= self.attempts || !is_passing(&error) {
                return Err(Failure { attempts, error });
            }
            tokio::time::sleep(shortened(delay)).await;
            delay = delay.saturating_mul(2).min(self.max_delay);
        }
    }
}

/// Name of the store of local files in its errors.
pub(crate) const LOCAL_FILES: &str = "LocalFileSystem";

/// Whether a request may succeed if it is repeated: throttling, time-outs, errors of the network
/// and of the server are all [`Error::Generic`]. So are errors of local files, which stay.
pub(crate) fn is_passing(error: &Error) -> bool {
    match error {
        Error::Generic { store, .. } => {
            *store != LOCAL_FILES && !is_out_of_range(error) && !is_refusal(error)
        }
        _ => false,
    }
}

/// The statuses of answers that stay the same, however often a request is repeated.
const REFUSALS: [&str; 6] = [
    "401 Unauthorized",
    "403 Forbidden",
    "404 Not Found",
    "405 Method Not Allowed",
    "411 Length Required",
    "501 Not Implemented",
];

/// Whether a store has refused a request for good. The client has errors of their own for that, but
/// not for lists.
fn is_refusal(error: &Error) -> bool {
    says(error, &REFUSALS)
}

/// Whether the credentials do not allow a request.
pub(crate) fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
        || says(error, &["401 Unauthorized", "403 Forbidden"])
}

/// Whether an error says that there is no such bucket: S3 and GCS in the code of their answer,
/// Azure in its own.
pub(crate) fn is_missing_bucket(error: &Error) -> bool {
    says(error, &["NoSuchBucket", "ContainerNotFound"])
}

/// The client's words for the whole of an object where a range was asked for. Some servers answer
/// so if the object is empty.
const NOT_PARTIAL: &str = "non-partial response";

/// Whether an object ends before the range that was asked for, or has no bytes at all. Clients say
/// so in their text only.
pub(crate) fn is_out_of_range(error: &Error) -> bool {
    says(error, &["416 Range Not Satisfiable", "Wanted range starting at", NOT_PARTIAL])
}

/// Whether a store has refused a request because there are too many of them. The client states the
/// status of an answer in its text only: `429 Too Many Requests`, S3's `503` with `SlowDown`,
/// Azure's `503` with `ServerBusy`.
#[cfg(feature = "read")]
pub(crate) fn is_throttling(error: &Error) -> bool {
    says(error, &["429 Too Many Requests", "503 Slow Down", "SlowDown", "ServerBusy"])
}

/// Whether one of the causes of an error has one of these texts in its own.
fn says(error: &Error, texts: &[&str]) -> bool {
    // Errors with a meaning of their own keep that of the answer as their cause.
    let mut cause: Option<&dyn std::error::Error> = match error {
        Error::Generic { source, .. } | Error::NotFound { source, .. } => Some(&**source),
        _ => None,
    };
    while let Some(error) = cause {
        let text = error.to_string();
        if texts.iter().any(|mark| text.contains(mark)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A random delay between a half of `delay` and all of it.
fn shortened(delay: Duration) -> Duration {
    // Each `RandomState` has other keys.
    let random = RandomState::new().hash_one(());
    let part = (random >> 32) as f64 / f64::from(u32::MAX);
    delay.mul_f64(0.5 + part / 2.0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn busy() -> Error {
        Error::Generic { store: "test", source: "slow down".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_error_is_repeated_and_a_lasting_one_is_not() {
        let policy = RetryPolicy::default().attempts(3);
        let run = async |answer: fn(u32) -> Result<u32, Error>| {
            let calls = Cell::new(0);
            let request = || {
                calls.set(calls.get() + 1);
                std::future::ready(answer(calls.get()))
            };
            let result = policy.run(request).await;
            (result, calls.get())
        };
        let (third, calls) = run(|call| if call < 3 { Err(busy()) } else { Ok(call) }).await;
        assert_eq!((third.unwrap(), calls), (3, 3));
        let (failure, calls) = run(|_| Err(busy())).await;
        assert_eq!((failure.unwrap_err().attempts, calls), (3, 3));
        let lasting = |_| Err(Error::NotFound { path: "x".into(), source: "none".into() });
        let (failure, calls) = run(lasting).await;
        let failure = failure.unwrap_err();
        assert!(matches!(failure.error, Error::NotFound { .. }));
        assert_eq!((failure.attempts, calls), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_without_an_answer_ends() {
        let policy = RetryPolicy::default().attempts(2);
        let failure = policy.run(std::future::pending::<Result<(), Error>>).await.unwrap_err();
        assert_eq!(failure.attempts, 2);
    }

    #[test]
    fn a_refusal_is_told_from_an_error_that_passes() {
        let error = |text: &'static str| Error::Generic { store: "S3", source: text.into() };
        for text in ["status 403 Forbidden: x", "404 Not Found", "416 Range Not Satisfiable"] {
            assert!(!is_passing(&error(text)), "{text}");
        }
        for text in ["status 500", "400 Bad Request: RequestTimeout", "503 Slow Down"] {
            assert!(is_passing(&error(text)), "{text}");
        }
        let missing = Error::NotFound {
            path: "x".into(),
            source: "404 Not Found: <Code>NoSuchBucket</Code>".into(),
        };
        assert!(is_missing_bucket(&missing) && !is_missing_bucket(&busy()));
        assert!(is_forbidden(&error("403 Forbidden")) && !is_forbidden(&busy()));
    }

    #[test]
    fn delays_are_shortened_by_up_to_a_half() {
        let delay = Duration::from_secs(8);
        let delays: Vec<_> = (0..100).map(|_| shortened(delay)).collect();
        assert!(delays.iter().all(|&short| short >= delay / 2 && short <= delay));
        assert!(delays.iter().any(|short| *short != delays[0]));
    }
}
