//! The layer in front of every service: readiness, token, permission, and a
//! reason on errors that tonic itself makes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use carrel_outbox::{CallerName, StreamDeadline};
use http::{Request, Response};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::access::ACCESS;
use crate::barcode::BarcodeKey;
use crate::call::{Call, permission_denied};
use crate::clock::Clock;
use crate::known_tokens::KnownTokens;
use crate::refusal::Refusal;
use crate::token::{TokenRefused, TokenVerifier};

/// Services that anybody on the network may ask: they tell nothing about a
/// patron, and a load balancer has no token.
const OPEN: [&str; 3] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// How long a call may take to answer, where the client sets no deadline of
/// its own; a stream, until its first answer.
const LONGEST_CALL: Duration = Duration::from_secs(30);

/// Checks each call before the service sees it.
#[derive(Debug, Clone)]
pub struct AccessLayer(Arc<Gate>);

#[derive(Debug)]
struct Gate {
    tokens: KnownTokens,
    key: BarcodeKey,
    clock: Clock,
    ready: watch::Receiver<bool>,
}

impl AccessLayer {
    /// A layer that trusts what `verifier` trusts and lets calls through while
    /// `ready` is true. Tokens are checked by the machine's clock: a moved
    /// demonstration clock does not outdate them.
    #[must_use]
    pub fn new(verifier: TokenVerifier, key: BarcodeKey, ready: watch::Receiver<bool>) -> Self {
        Self(Arc::new(Gate {
            tokens: KnownTokens::new(verifier),
            key,
            clock: Clock::fixed(),
            ready,
        }))
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Access<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Access {
            inner,
            gate: self.0.clone(),
        }
    }
}

/// A service behind the layer.
#[derive(Debug, Clone)]
pub struct Access<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl Gate {
    fn admit(&self, request: &Request<Body>) -> Result<Call, Refusal> {
        if !*self.ready.borrow() {
            return Err(Refusal::new(
                Code::Unavailable,
                "SERVICE_NOT_READY",
                "the service is starting or can't use its database; try again in a moment",
            ));
        }
        let token = request
            .headers()
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(TokenRefused::Missing)
            .and_then(|token| self.tokens.verify(token, self.clock.now()));
        let caller = token.map_err(|refused| {
            let reason = match refused {
                TokenRefused::Missing => "TOKEN_MISSING",
                TokenRefused::Expired => "TOKEN_EXPIRED",
                TokenRefused::Invalid => "TOKEN_INVALID",
            };
            Refusal::new(Code::Unauthenticated, reason, refused.to_string())
        })?;
        // An RPC without an option is refused to everybody.
        let access = ACCESS
            .rpc(request.uri().path())
            .ok_or_else(permission_denied)?;
        let permitted = if access.district_wide {
            caller.may_everywhere(access.permission)
        } else {
            caller.may(access.permission)
        };
        if !permitted {
            return Err(permission_denied());
        }
        let trace_parent = request
            .headers()
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .filter(|value| is_trace_parent(value))
            .map(str::to_owned);
        Ok(Call {
            caller,
            rpc: access.rpc,
            permission: access.permission,
            trace_parent,
            key: self.key.clone(),
        })
    }
}

/// Whether a text has the form of a W3C trace parent, version 00.
fn is_trace_parent(text: &str) -> bool {
    text.len() == 55
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

impl<S> Service<Request<Body>> for Access<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if OPEN.iter().any(|open| path.starts_with(open)) {
            return Box::pin(self.inner.call(request));
        }
        let call = match self.gate.admit(&request) {
            Ok(call) => call,
            Err(refusal) => {
                tracing::info!(rpc.path = %path, reason = refusal.reason(), "refused");
                let response = Status::from(refusal).into_http();
                return Box::pin(async { Ok(response) });
            }
        };
        let span =
            tracing::info_span!("rpc", rpc.path = call.rpc, trace_parent = call.trace_parent,);
        let started = Instant::now();
        request
            .extensions_mut()
            .insert(StreamDeadline::new(call.caller.expires_at()));
        request
            .extensions_mut()
            .insert(CallerName(call.caller.subject().to_owned()));
        request.extensions_mut().insert(call);
        let answer = self.inner.call(request);
        Box::pin(
            async move {
                let response = match tokio::time::timeout(LONGEST_CALL, answer).await {
                    Ok(answer) => with_reason(answer?),
                    Err(_) => Status::from(deadline_exceeded()).into_http(),
                };
                let status = response
                    .headers()
                    .get("grpc-status")
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or("0");
                let elapsed_us = started.elapsed().as_micros() as u64;
                tracing::debug!(rpc.status = status, elapsed_us, "answered");
                Ok(response)
            }
            .instrument(span),
        )
    }
}

fn deadline_exceeded() -> Refusal {
    Refusal::new(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the call took longer than its deadline; repeat it with the same request id",
    )
}

/// Gives the errors that tonic makes itself (a message that is too large or
/// can't be decoded, an RPC that does not exist, a deadline) a stable reason.
fn with_reason(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if !headers.contains_key("grpc-status") || headers.contains_key("grpc-status-details-bin") {
        return response;
    }
    let Some(status) = Status::from_header_map(headers) else {
        return response;
    };
    let refusal = match status.code() {
        Code::OutOfRange if status.message().contains("message length too large") => Refusal::new(
            Code::ResourceExhausted,
            "MESSAGE_TOO_LARGE",
            "the message is larger than this service takes; send less at once",
        ),
        Code::Internal if status.message().contains("decode") => Refusal::new(
            Code::InvalidArgument,
            "MESSAGE_MALFORMED",
            "the message can't be decoded; is the client made from this version of the contract?",
        ),
        Code::Unimplemented => Refusal::new(
            Code::Unimplemented,
            "RPC_UNKNOWN",
            "this service has no such RPC",
        ),
        Code::Cancelled | Code::DeadlineExceeded => deadline_exceeded(),
        _ => return response,
    };
    Status::from(refusal).into_http()
}
