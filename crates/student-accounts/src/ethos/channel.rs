//! Requests with a token and a deadline, and what is known when one fails.

use std::time::{Duration, Instant};

use reqwest::header::{self, HeaderMap};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, Url};

use crate::error::Error;
use crate::ethos::gate::{Gate, Held};
use crate::ethos::token::{TokenFailure, Tokens};
use crate::ethos::{EthosSettings, checked_base, is_loopback};

/// What a request and the wanted answer name.
const MEDIA_TYPE: &str = "application/vnd.hedtech.integration.v16+json";
/// A page of a hundred charges is a tenth of it.
const LARGEST_ANSWER_BYTES: usize = 8 << 20;
/// Shorter than servers' usual keep-alive, so that a request seldom meets a connection that is being closed.
const IDLE: Duration = Duration::from_secs(4);

/// The way to one site.
pub(super) struct Channel {
    client: Client,
    base: Url,
    tokens: Tokens,
    gate: Gate,
}

/// An answer. The status has arrived; the body may have been lost.
pub(super) struct Answer {
    pub(super) status: u16,
    /// `x-total-count`
    pub(super) total: Option<usize>,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Result<Vec<u8>, Lost>,
}

/// A request or answer that did not get through.
#[derive(Debug)]
pub(super) enum Lost {
    /// There was no connection, so nothing was sent.
    Unreachable(String),
    Timeout,
    Broken(String),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Token(TokenFailure),
    Lost(Lost),
    /// Nothing was sent: the site failed too often, or has too much to do.
    Held,
}

impl Lost {
    pub(super) fn of(error: &reqwest::Error) -> Self {
        // The URL carries the student's id, which belongs in no log.
        let mut text = String::new();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text = cause.to_string();
            source = cause.source();
        }
        if error.is_connect() {
            Self::Unreachable(text)
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Broken(text)
        }
    }
}

impl Channel {
    pub(super) fn new(settings: EthosSettings) -> Result<Self, Error> {
        let base = checked_base(&settings)?;
        let client = client(&settings, &base)?;
        let tokens = Tokens::new(
            join(&base, &["auth"]),
            settings.api_key,
            settings.token_lifetime,
        );
        Ok(Self {
            client,
            base,
            tokens,
            gate: Gate::new(settings.requests_per_second),
        })
    }

    /// Posts a resource, once; twice only where the first answer was 401.
    pub(super) async fn create(&self, resource: &str, body: Vec<u8>) -> Result<Answer, Failure> {
        let url = join(&self.base, &["api", resource]);
        let request = self
            .client
            .request(Method::POST, url)
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .body(body);
        self.send(request).await
    }

    /// Gets `/api/…`; every failure is the caller's error.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Answer, Error> {
        let mut segments = vec!["api"];
        segments.extend(path);
        let request = self
            .client
            .request(Method::GET, join(&self.base, &segments))
            .query(query);
        self.send(request).await.map_err(Error::from)
    }

    /// Sends a request where the gate lets it through, and tells the gate what became of it.
    async fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let wait = self
            .gate
            .admit(Instant::now())
            .map_err(|Held| Failure::Held)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let mut unanswered = Unanswered(Some(&self.gate));
        let answer = self.send_with_token(request).await;
        match &answer {
            Ok(answer) if answer.status == 429 => {
                unanswered.0 = None;
                let pause = answer.retry_after.unwrap_or(Duration::from_secs(1));
                self.gate.pause(Instant::now(), pause);
            }
            Ok(answer) if answer.status < 500 => {
                unanswered.0 = None;
                self.gate.answered();
            }
            Ok(_) | Err(_) => {}
        }
        answer
    }

    async fn send_with_token(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let request = request.header(header::ACCEPT, MEDIA_TYPE);
        let again = request.try_clone();
        let token = self
            .tokens
            .get(&self.client)
            .await
            .map_err(Failure::Token)?;
        let answer = answer(request.bearer_auth(&token)).await?;
        match again {
            // The token was refused before anything else was looked at; see `verdict`.
            Some(again) if answer.status == 401 => {
                self.tokens.forget(&token).await;
                let token = self
                    .tokens
                    .get(&self.client)
                    .await
                    .map_err(Failure::Token)?;
                self::answer(again.bearer_auth(&token)).await
            }
            Some(_) | None => Ok(answer),
        }
    }
}

/// A request that counts as failed unless it was answered, also where its caller stops waiting.
struct Unanswered<'a>(Option<&'a Gate>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.0 {
            gate.failed(Instant::now(), chance());
        }
    }
}

/// From 0 to 1, by the random part of a new id.
fn chance() -> f64 {
    f64::from(carrel_ids::new_id().as_u128() as u16) / f64::from(u16::MAX)
}

async fn answer(request: RequestBuilder) -> Result<Answer, Failure> {
    let response = request
        .send()
        .await
        .map_err(|error| Failure::Lost(Lost::of(&error)))?;
    let number =
        |headers: &HeaderMap, name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    Ok(Answer {
        status: response.status().as_u16(),
        total: number(response.headers(), "x-total-count").and_then(|total| total.try_into().ok()),
        retry_after: number(response.headers(), "retry-after").map(Duration::from_secs),
        body: body(response).await,
    })
}

pub(super) async fn body(mut response: Response) -> Result<Vec<u8>, Lost> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Lost::of(&error))? {
        if body.len() + chunk.len() > LARGEST_ANSWER_BYTES {
            return Err(Lost::Broken("the answer is larger than 8 MiB".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn join(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

fn client(settings: &EthosSettings, base: &Url) -> Result<Client, Error> {
    let mut builder = Client::builder()
        .connect_timeout(settings.connect_deadline.min(settings.deadline))
        .timeout(settings.deadline)
        .pool_idle_timeout(IDLE)
        // A redirect or an automatic retry would send a create a second time.
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    if base.scheme() == "http" {
        // Without this the client would want the machine's CA certificates, which a small container lacks.
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = &settings.ca_certificates {
        let unreadable = |reason: String| Error::CaCertificates {
            path: path.clone(),
            reason,
        };
        let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let certificates =
            Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(unreadable("there is no certificate in it".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Error::NoTls(cause.unwrap_or_else(|| error.to_string()))
    })
}
