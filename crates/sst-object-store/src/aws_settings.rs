//! What environment variables say of S3, checked before the first request.
//!
//! object_store takes their texts as they are, and panics where one of them cannot be part of a
//! request: an endpoint without `http://`, or a key with the line break of the file it came from.

use std::env;
use std::ffi::OsString;

use object_store::ClientConfigKey;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use url::Url;

use crate::error::Cause;

/// Prefix of the variables.
const PREFIX: &str = "AWS_";

/// A builder with the settings of the environment. An empty variable counts as none.
pub(crate) fn builder() -> Result<AmazonS3Builder, Cause> {
    of_variables(env::vars_os())
}

fn of_variables(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<AmazonS3Builder, Cause> {
    let mut builder = AmazonS3Builder::new();
    // The name of a variable with an address that is not encrypted.
    let mut plain = None;
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() else { continue };
        if value.is_empty() {
            continue;
        }
        // No message repeats a value, since it may be a secret.
        let value = value.to_str().filter(|value| value.bytes().all(is_in_header));
        let value = value.ok_or_else(|| {
            format!("{name} has a character that no request can have, such as a line break")
        })?;
        match key {
            AmazonS3ConfigKey::Endpoint
            | AmazonS3ConfigKey::S3Endpoint
            | AmazonS3ConfigKey::StsEndpoint
            | AmazonS3ConfigKey::MetadataEndpoint
            | AmazonS3ConfigKey::ContainerCredentialsFullUri => {
                let url = Url::parse(value).ok().filter(|url| url.has_host() && is_word(value));
                match url.as_ref().map(Url::scheme) {
                    Some("https") => {}
                    Some("http") => {
                        let is_of_requests = matches!(
                            key,
                            AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint
                        );
                        plain = is_of_requests.then(|| name.to_owned()).or(plain);
                    }
                    _ => return Err(format!("{name} is no URL such as http://host:port").into()),
                }
            }
            AmazonS3ConfigKey::AccessKeyId
            | AmazonS3ConfigKey::SecretAccessKey
            | AmazonS3ConfigKey::Token
            | AmazonS3ConfigKey::Region
            | AmazonS3ConfigKey::DefaultRegion
                if !is_word(value) =>
            {
                return Err(format!("{name} has a space or a character that is not ASCII").into());
            }
            _ => {}
        }
        builder = builder.with_config(key, value);
    }
    let allows_http = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
    match plain {
        Some(name) if builder.get_config_value(&allows_http).as_deref() != Some("true") => {
            Err(format!("{name} is not encrypted: set AWS_ALLOW_HTTP=true, if that is meant")
                .into())
        }
        _ => Ok(builder),
    }
}

/// Whether a header of a request can have a byte.
const fn is_in_header(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f
}

/// Whether a text has neither spaces nor characters beyond ASCII.
fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<AmazonS3Builder, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        of_variables(variables).map_err(|error| error.to_string())
    }

    #[test]
    fn texts_that_cannot_be_part_of_a_request_are_refused_by_the_name_of_their_variable() {
        let allowed = ("AWS_ALLOW_HTTP", "true");
        for endpoint in [
            "127.0.0.1:5123",
            "minio:9000",
            "localhost",
            "http://",
            "http://127.0.0.1:99999",
            "http://127.0.0.1:9000 ",
            "http://127.0.0.1:9000/a b",
            "ftp://127.0.0.1",
        ] {
            let error = settings(&[("AWS_ENDPOINT", endpoint), allowed]).unwrap_err();
            assert!(error.starts_with("AWS_ENDPOINT"), "{endpoint}: {error}");
        }
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "secret\n"),
            ("AWS_SECRET_ACCESS_KEY", "secret "),
            ("AWS_SESSION_TOKEN", "secret\n"),
            ("AWS_REGION", "eu secret"),
        ] {
            let error = settings(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(name) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_endpoint_without_encryption_has_to_be_allowed() {
        let endpoint = ("AWS_ENDPOINT", "http://127.0.0.1:9000");
        assert!(settings(&[endpoint]).unwrap_err().contains("AWS_ALLOW_HTTP"));
        let builder = settings(&[endpoint, ("AWS_ALLOW_HTTP", "true")]).unwrap();
        let found = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        assert_eq!(found.as_deref(), Some("http://127.0.0.1:9000"));
    }

    #[test]
    fn an_empty_variable_counts_as_none_and_others_are_not_looked_at() {
        let builder = settings(&[("AWS_ENDPOINT", ""), ("AWS_X", "\n"), ("PATH", "\n")]).unwrap();
        assert_eq!(builder.get_config_value(&AmazonS3ConfigKey::Endpoint), None);
    }
}
