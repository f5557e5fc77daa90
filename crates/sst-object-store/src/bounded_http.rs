//! Bounds on the answers of servers.
//!
//! The client of stores reads some answers whole: lists, the reasons of refusals, and the results
//! of writes. A server, or a proxy in between, may announce or send any number of bytes there. Here
//! such an answer is read up to a limit before the client sees it. Only the bytes of objects, which
//! this crate reads in pieces of known lengths, pass as they come.

use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

/// Longest answer in bytes that is no object. A list has up to 1,000 or 5,000 names of up to 1,024
/// bytes in one answer.
const MAX_ANSWER: usize = 32 << 20;
/// Bytes of a refusal that are kept.
const MAX_REFUSAL: usize = 16 << 10;

/// Makes clients whose answers are bounded.
#[derive(Debug, Default)]
pub(crate) struct BoundedConnector {
    inner: ReqwestConnector,
}

impl HttpConnector for BoundedConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Bounded { inner: self.inner.connect(options)? }))
    }
}

/// A client whose answers are bounded.
#[derive(Debug)]
struct Bounded {
    inner: HttpClient,
}

impl HttpService for Bounded {
    fn call<'s, 'c>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>
    where
        's: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            let may_be_object = is_of_object(&request);
            let answer = self.inner.execute(request).await?;
            match (answer.status().is_success(), may_be_object) {
                (true, true) => Ok(answer),
                (true, false) => bounded(answer, MAX_ANSWER, false).await,
                (false, _) => bounded(answer, MAX_REFUSAL, true).await,
            }
        })
    }
}

/// Whether the answer to a request is the bytes of an object: whether it is no write and no list.
fn is_of_object(request: &HttpRequest) -> bool {
    // A request without a query is no list.
    let query = request.uri().query().unwrap_or_default();
    let is_list =
        query.split('&').any(|part| part.starts_with("list-type=") || part == "comp=list");
    request.method().as_str() == "GET" && !is_list
}

/// An answer of at most `limit` bytes. Of a longer one the rest is left out, or it is an error.
async fn bounded(
    answer: HttpResponse,
    limit: usize,
    is_cut: bool,
) -> Result<HttpResponse, HttpError> {
    let (parts, body) = answer.into_parts();
    let mut pieces = body.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let room = limit - bytes.len();
        match piece.get(..room) {
            Some(start) if piece.len() > room => {
                if !is_cut {
                    return Err(HttpError::new(HttpErrorKind::Decode, TooLong { limit }));
                }
                bytes.extend_from_slice(start);
                break;
            }
            _ => bytes.extend_from_slice(&piece),
        }
    }
    Ok(HttpResponse::from_parts(parts, bytes.into()))
}

/// An answer is longer than any of its kind.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer has more than {limit} bytes")]
struct TooLong {
    limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, len: usize) -> HttpResponse {
        let mut answer = HttpResponse::new(vec![b'x'; len].into());
        *answer.status_mut() = status.try_into().unwrap();
        answer
    }

    fn request(uri: &str, method: &str) -> HttpRequest {
        let mut request = HttpRequest::new(Vec::new().into());
        *request.uri_mut() = uri.parse().unwrap();
        *request.method_mut() = method.parse().unwrap();
        request
    }

    #[derive(Debug)]
    struct Answers(u16, usize);

    impl HttpService for Answers {
        fn call<'s, 'c>(
            &'s self,
            _: HttpRequest,
        ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>
        where
            's: 'c,
            Self: 'c,
        {
            Box::pin(async move { Ok(answer(self.0, self.1)) })
        }
    }

    /// The length of the answer to a request; `None` if it is refused.
    async fn len(uri: &str, method: &str, status: u16, len: usize) -> Option<usize> {
        let service = Bounded { inner: HttpClient::new(Answers(status, len)) };
        let answer = service.call(request(uri, method)).await.ok()?;
        Some(answer.into_body().bytes().await.unwrap().len())
    }

    #[tokio::test]
    async fn only_objects_are_longer_than_the_limits() {
        let object = "http://host/bucket/00000001.sst";
        let lists = ["http://h/b?list-type=2&prefix=x", "http://h/b?prefix=x&comp=list"];
        let long = MAX_ANSWER + 1;
        assert_eq!(len(object, "GET", 206, long).await, Some(long));
        for list in lists {
            assert_eq!(len(list, "GET", 200, MAX_ANSWER).await, Some(MAX_ANSWER));
            assert_eq!(len(list, "GET", 200, long).await, None);
            assert_eq!(len(list, "GET", 403, long).await, Some(MAX_REFUSAL));
        }
        assert_eq!(len(object, "GET", 500, long).await, Some(MAX_REFUSAL));
        assert_eq!(len(object, "PUT", 412, long).await, Some(MAX_REFUSAL));
        assert_eq!(len(object, "PUT", 200, long).await, None);
        assert_eq!(len(object, "PUT", 403, 100).await, Some(100));
    }
}
