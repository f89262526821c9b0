//! One request over one connection of its own.

use super::charged::Charged;
use super::connect::{self, Target};
use super::{Caller, SPENT, tls};
use bytes::Bytes;
use cofferdam_contract::services::{Outbound, OutboundRequest};
use cofferdam_runtime::EgressBudget;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep, timeout};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

/// How long is waited for each thing where the guest says nothing and the call has no
/// deadline.
const PATIENCE: Duration = Duration::from_secs(600);

/// The longest head of a response, bytes.
const MOST_HEAD: usize = 128 << 10;

/// A response, and the work that goes on behind it.
pub(super) type Sent = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

/// A request that the grant allows.
pub(super) struct Sending {
    pub(super) caller: Caller,
    pub(super) scope: Arc<dyn Outbound>,
    pub(super) target: OutboundRequest,
    /// Given back when the connection is over.
    pub(super) connection: OwnedSemaphorePermit,
}

impl Sending {
    pub(super) async fn send(self, request: Request<WasiBody>, options: RequestOptions) -> Sent {
        let left = self.caller.deadline.map_or(PATIENCE, |deadline| {
            deadline.saturating_duration_since(std::time::Instant::now())
        });
        let patience = |asked: Option<Duration>| asked.unwrap_or(PATIENCE).min(left);
        let connected = timeout(patience(options.connect_timeout), self.connect());
        let stream = connected.await.map_err(|_| Error::ConnectionTimeout)??;

        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MOST_HEAD)
            .handshake::<_, WasiBody>(TokioIo::new(stream))
            .await?;
        let (permit, budget) = (self.connection, self.caller.budget);
        // The connection ends with the handle: when the guest drops the response, or the
        // call is over.
        let driver = wasmtime_wasi::runtime::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a plugin's connection ended");
            }
            drop(permit);
        });
        let answered = timeout(
            patience(options.first_byte_timeout),
            sender.send_request(in_origin_form(request)?),
        );
        let response = answered.await.map_err(|_| Error::ConnectionReadTimeout)??;
        let between = patience(options.between_bytes_timeout);
        let response = response.map(|body| Patient::new(body, between, budget).boxed_unsync());
        let behind = async move {
            driver.await;
            Ok(())
        };
        Ok((response, Box::new(behind)))
    }

    async fn connect(&self) -> Result<tls::Stream, Error> {
        let Self {
            caller,
            scope,
            target,
            ..
        } = self;
        let host = Target {
            host: &target.host,
            port: target.port,
        };
        let stream = connect::connect(host, |address| {
            scope.address(&target.host, address).map_err(|refusal| {
                caller.tell(&refusal);
            })
        })
        .await?;
        // Charged below TLS: what the network carries is what counts.
        let stream = Charged::new(stream, Arc::clone(&caller.budget));
        match target.scheme.as_str() {
            "https" => tls::secure(&target.host, stream).await,
            _ => Ok(tls::Stream::Plain(stream)),
        }
    }
}

/// A server is told path and query; host and scheme are known to it.
fn in_origin_form(mut request: Request<WasiBody>) -> Result<Request<WasiBody>, Error> {
    let path = request.uri().path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(path).map_err(|_| Error::HttpRequestUriInvalid)?;
    Ok(request)
}

/// A body whose next part is not waited for without end.
struct Patient {
    body: Incoming,
    between: Duration,
    alarm: Pin<Box<Sleep>>,
    budget: Arc<EgressBudget>,
}

impl Patient {
    fn new(body: Incoming, between: Duration, budget: Arc<EgressBudget>) -> Self {
        Self {
            body,
            between,
            budget,
            alarm: Box::pin(sleep(between)),
        }
    }
}

impl Body for Patient {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            ready!(self.alarm.as_mut().poll(context));
            return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
        };
        if let Some(next) = Instant::now().checked_add(self.between) {
            self.alarm.as_mut().reset(next);
        }
        let failed = |error: hyper::Error| match self.budget.is_spent() {
            true => Error::InternalError(Some(SPENT.to_owned())),
            false => Error::Hyper(error),
        };
        Poll::Ready(frame.map(|frame| frame.map_err(failed)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
