//! Conditional GET (RFC 9110 section 13): a strong entity tag of the body.
//!
//! The tag is made from the bytes that are about to be sent, so that it needs no
//! versioning of what is shown and cannot be stale. It saves the transfer, not the work.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

/// Layer: tags successful answers to GET that are whole in memory, JSON and files, and
/// answers 304 to a client that has them.
pub async fn conditional(request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let known = request.headers().get_all(IF_NONE_MATCH).iter().cloned();
    let known: Vec<HeaderValue> = known.collect();
    let response = next.run(request).await;
    if response.status() != StatusCode::OK || !is_whole(response.headers()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is in memory: collecting it is handing it over.
    let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = tag(&body);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(ETAG, value);
    }
    parts
        .headers
        .insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if known.iter().any(|value| names(value, &tag)) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.remove(CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

/// Whether the answer is no stream.
fn is_whole(headers: &HeaderMap) -> bool {
    let whole: [&[u8]; 2] = [b"application/json", b"application/octet-stream"];
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| whole.contains(&value.as_bytes()))
}

/// The strong entity tag of `body`: 128 bits of its SHA-256, quoted.
fn tag(body: &Bytes) -> String {
    let digest = Sha256::digest(body);
    let mut text = hex::encode(digest);
    text.truncate(32);
    format!("\"{text}\"")
}

/// Whether `If-None-Match: value` names `tag`. The comparison is the weak one
/// (RFC 9110 section 13.1.2).
fn names(value: &HeaderValue, tag: &str) -> bool {
    let Ok(value) = value.to_str() else {
        return false;
    };
    value.trim() == "*"
        || value
            .split(',')
            .map(str::trim)
            .any(|one| one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_depends_on_the_body_alone() {
        let one = tag(&Bytes::from_static(b"{}"));
        assert_eq!(one, tag(&Bytes::from_static(b"{}")));
        assert_ne!(one, tag(&Bytes::from_static(b"{ }")));
        assert!(one.starts_with('"') && one.ends_with('"') && one.len() == 34);
    }

    #[test]
    fn if_none_match_is_a_list_with_weak_comparison() {
        let mine = "\"abc\"";
        for (value, hit) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"abcd\"", false),
            ("abc", false),
            ("", false),
        ] {
            let value = HeaderValue::from_str(value).unwrap();
            assert_eq!(names(&value, mine), hit, "{value:?}");
        }
    }
}
