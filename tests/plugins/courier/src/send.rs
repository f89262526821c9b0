//! One request through `wasi:http`.

use serde::{Deserialize, Serialize};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme, http_error_code,
};
use wasip2::io::streams::StreamError;

/// What is written at once, bytes; `blocking-write-and-flush` takes no more.
const PIECE: usize = 4096;

/// What is kept of an answer, bytes.
const MOST_KEPT: usize = 1024;

/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The method.
    #[serde(default = "get")]
    method: String,
    /// The scheme.
    #[serde(default = "http")]
    scheme: String,
    /// Host and port.
    authority: String,
    /// Path and query.
    #[serde(default = "root")]
    pub(crate) path: String,
    /// How many bytes to send.
    #[serde(default)]
    send: usize,
    /// How long the first byte of the answer is waited for, milliseconds.
    #[serde(default)]
    patience_ms: Option<u32>,
    /// Headers.
    #[serde(default)]
    headers: Vec<(String, String)>,
}

fn get() -> String {
    "GET".to_owned()
}
fn http() -> String {
    "http".to_owned()
}
fn root() -> String {
    "/".to_owned()
}

/// What became of a request: `error` is empty where there is a status.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// The status.
    pub status: Option<u16>,
    /// The header `location`.
    pub location: Option<String>,
    /// How many bytes came.
    pub length: usize,
    /// The first of them.
    pub body: String,
    /// The error code of `wasi:http`, or what else went wrong.
    pub error: Option<String>,
}

type Sent<T> = Result<T, String>;

fn code(code: &ErrorCode) -> String {
    format!("{code:?}")
}

fn of_stream(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => {
            http_error_code(&error).map_or_else(|| error.to_debug_string(), |error| code(&error))
        }
    }
}

impl Request {
    /// Sends it and reads the whole answer.
    pub(crate) fn send(&self) -> Answer {
        let mut answer = Answer::default();
        if let Err(error) = self.exchange(&mut answer) {
            answer.error = Some(error);
        }
        answer
    }

    fn exchange(&self, answer: &mut Answer) -> Sent<()> {
        let headers = Fields::new();
        for (name, value) in &self.headers {
            headers
                .append(name, value.as_bytes())
                .map_err(|error| format!("{name}: {error:?}"))?;
        }
        let request = OutgoingRequest::new(headers);
        let refused = |what: &'static str| move |()| format!("{what} is refused");
        request
            .set_method(&method(&self.method))
            .map_err(refused("the method"))?;
        request
            .set_scheme(Some(&scheme(&self.scheme)))
            .map_err(refused("the scheme"))?;
        request
            .set_authority(Some(&self.authority))
            .map_err(refused("the authority"))?;
        request
            .set_path_with_query(Some(&self.path))
            .map_err(refused("the path"))?;
        let options = RequestOptions::new();
        if let Some(patience) = self.patience_ms {
            let nanoseconds = u64::from(patience).saturating_mul(1_000_000);
            options
                .set_first_byte_timeout(Some(nanoseconds))
                .map_err(refused("the time-out"))?;
        }
        let body = request.body().map_err(refused("the body"))?;
        let future = handle(request, Some(options)).map_err(|error| code(&error))?;
        let written = self.write(body);
        let answered = loop {
            match future.get() {
                None => future.subscribe().block(),
                Some(Err(())) => return Err("the answer was taken already".to_owned()),
                Some(Ok(answered)) => break answered,
            }
        };
        // What the server or the host said of the request says more than a broken body.
        let response = answered.map_err(|error| code(&error))?;
        written?;
        answer.status = Some(response.status());
        answer.location = response
            .headers()
            .get("location")
            .first()
            .map(|value| String::from_utf8_lossy(value).into_owned());
        read(&response, answer)
    }

    fn write(&self, body: OutgoingBody) -> Sent<()> {
        let stream = body.write().map_err(|()| "the body is taken".to_owned())?;
        let mut left = self.send;
        while left > 0 {
            let piece = left.min(PIECE);
            let bytes = vec![b'x'; piece];
            stream.blocking_write_and_flush(&bytes).map_err(of_stream)?;
            left -= piece;
        }
        drop(stream);
        OutgoingBody::finish(body, None).map_err(|error| code(&error))
    }
}

fn read(response: &IncomingResponse, answer: &mut Answer) -> Sent<()> {
    let body: IncomingBody = response
        .consume()
        .map_err(|()| "the answer has no body".to_owned())?;
    let stream = body.stream().map_err(|()| "the body is taken".to_owned())?;
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) => {
                answer.length += bytes.len();
                let text = String::from_utf8_lossy(&bytes);
                let room = MOST_KEPT.saturating_sub(answer.body.len());
                let end = text.floor_char_boundary(room);
                answer.body.push_str(text.get(..end).unwrap_or_default());
            }
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(of_stream(error)),
        }
    }
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.to_owned()),
    }
}

fn scheme(name: &str) -> Scheme {
    match name {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    }
}
