//! Many keys in one request.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sst_reader::{ReadError, SstSet};

/// Keys that are looked up first. Later groups are larger, if values are short.
const FIRST_GROUP: usize = 4;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the body is not JSON: {0}")]
    Json(serde_json::Error),
    #[error("the body is no question: {0}")]
    Shape(serde_json::Error),
    #[error("a key is not base64: {0}")]
    Base64(data_encoding::DecodeError),
    #[error("the answer has more than {limit} bytes: ask for fewer keys at once")]
    Answer { limit: u64 },
}

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Keys that are text.
    keys: Option<Vec<String>>,
    /// Keys of any bytes, in base64.
    keys_base64: Option<Vec<String>>,
}

/// A key as the client wrote it.
#[derive(Clone)]
enum Name {
    Text(String),
    Base64(String),
}

/// The keys of a request.
pub(crate) struct Question {
    pub(crate) keys: Vec<Vec<u8>>,
    names: Vec<Name>,
}

impl Question {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refused> {
        let body: Body = serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Refused::Shape(error),
            _ => Refused::Json(error),
        })?;
        if body.keys.is_none() && body.keys_base64.is_none() {
            let missing = serde::de::Error::custom("`keys` or `keys_base64` is needed");
            return Err(Refused::Shape(missing));
        }
        let text = body.keys.into_iter().flatten().map(Name::Text);
        let names: Vec<_> =
            text.chain(body.keys_base64.into_iter().flatten().map(Name::Base64)).collect();
        let bytes = |name: &Name| match name {
            Name::Text(text) => Ok(text.clone().into_bytes()),
            Name::Base64(text) => BASE64.decode(text.as_bytes()).map_err(Refused::Base64),
        };
        Ok(Self { keys: names.iter().map(bytes).collect::<Result<_, _>>()?, names })
    }
}

/// The answers for all keys, of one commit, in the order of the keys.
#[derive(Serialize)]
pub(crate) struct Answer {
    commit: u32,
    pub(crate) results: Vec<KeyResult>,
}

/// A key with its value: as text if it is UTF-8, otherwise in base64. An absent key has neither.
#[derive(Serialize)]
pub(crate) struct KeyResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

impl KeyResult {
    fn new(name: Name, value: Option<&[u8]>) -> Self {
        let (key, key_base64) = match name {
            Name::Text(text) => (Some(text), None),
            Name::Base64(text) => (None, Some(text)),
        };
        let (value, value_base64) = match value.map(|value| (str::from_utf8(value), value)) {
            Some((Ok(text), _)) => (Some(text.to_owned()), None),
            Some((Err(_), bytes)) => (None, Some(BASE64.encode(bytes))),
            None => (None, None),
        };
        Self { key, key_base64, value, value_base64 }
    }

    /// Whether the key has a value.
    pub(crate) const fn is_found(&self) -> bool {
        self.value.is_some() || self.value_base64.is_some()
    }
}

/// Looks all keys up in one set. The answer has at most `limit` bytes of values; it is refused when
/// it becomes longer.
///
/// Keys are looked up in groups that grow as long as values are short, so that hardly more values
/// than the limit allows are in memory.
pub(crate) fn answer(
    set: &SstSet,
    question: &Question,
    limit: u64,
) -> Result<Result<Answer, Refused>, ReadError> {
    let mut results = Vec::with_capacity(question.keys.len());
    let (mut keys, mut names) = (question.keys.as_slice(), question.names.iter().cloned());
    let (mut group, mut bytes) = (FIRST_GROUP, 0);
    while !keys.is_empty() {
        // The length is at most that of the keys.
        let (now, later) = keys.split_at(group.min(keys.len()));
        for (value, name) in set.multi_get(now)?.into_iter().zip(names.by_ref()) {
            bytes += value.as_ref().map_or(0, |value| value.len() as u64);
            if bytes > limit {
                return Ok(Err(Refused::Answer { limit }));
            }
            results.push(KeyResult::new(name, value.as_deref()));
        }
        keys = later;
        // As many keys as fit, if values go on as they were.
        let fitting = match bytes {
            0 => u64::MAX,
            bytes => (limit - bytes).saturating_mul(results.len() as u64) / bytes,
        };
        // A number that does not fit is more than twice the group.
        group = usize::try_from(fitting).unwrap_or(usize::MAX).clamp(1, group * 2);
    }
    Ok(Ok(Answer { commit: set.catalog().commit.0, results }))
}
