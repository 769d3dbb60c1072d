//! Other services, called over a socket with a token of this one's own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::caller::Grant;
use crate::token::TokenIssuer;

/// How long a service's own token is good for.
const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_mins(5);
/// A token with less than this left is replaced before it is used.
const TOKEN_RESERVE: SignedDuration = SignedDuration::from_mins(1);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A channel to another service, with this service's token on each call.
pub type PeerChannel = InterceptedService<Channel, ServiceToken>;

/// The other services.
#[derive(Debug, Clone)]
pub struct Peers {
    channels: BTreeMap<String, Channel>,
    token: ServiceToken,
}

/// A peer that can't be called.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It is not configured.
    #[error("no address for the {0} service; start with --peer {0}=http://host:port")]
    NotConfigured(String),
    /// Its address can't be read.
    #[error("the address of the {0} service is not a URL")]
    BadUrl(String),
}

impl Peers {
    /// Prepares channels; they connect when first used and reconnect by
    /// themselves.
    ///
    /// # Errors
    /// [`PeerError::BadUrl`].
    pub fn new(urls: &BTreeMap<&str, &str>, token: ServiceToken) -> Result<Self, PeerError> {
        let mut channels = BTreeMap::new();
        for (service, url) in urls {
            let endpoint = Endpoint::from_shared((*url).to_owned())
                .map_err(|_| PeerError::BadUrl((*service).to_owned()))?
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(Duration::from_secs(20))
                .keep_alive_timeout(Duration::from_secs(10))
                .keep_alive_while_idle(true);
            channels.insert((*service).to_owned(), endpoint.connect_lazy());
        }
        Ok(Self { channels, token })
    }

    /// The channel to a service.
    ///
    /// # Errors
    /// [`PeerError::NotConfigured`].
    pub fn channel(&self, service: &str) -> Result<PeerChannel, PeerError> {
        self.channels
            .get(service)
            .map(|channel| InterceptedService::new(channel.clone(), self.token.clone()))
            .ok_or_else(|| PeerError::NotConfigured(service.to_owned()))
    }
}

/// Puts a short-lived token of the service's own on each call.
#[derive(Debug, Clone)]
pub struct ServiceToken {
    issuer: TokenIssuer,
    subject: String,
    grants: Arc<[Grant]>,
    current: Arc<Mutex<Option<(Timestamp, String)>>>,
}

impl ServiceToken {
    /// Tokens for "service:NAME" with these permissions.
    #[must_use]
    pub fn new(issuer: TokenIssuer, service: &str, permissions: &[&str]) -> Self {
        Self {
            issuer,
            subject: format!("service:{service}"),
            grants: permissions
                .iter()
                .map(|permission| Grant::everywhere(permission))
                .collect(),
            current: Arc::default(),
        }
    }

    fn token(&self) -> String {
        // Tokens go by the machine's clock, as their check does.
        let now = Timestamp::now();
        let mut current = self
            .current
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((expires_at, token)) = &*current
            && now + TOKEN_RESERVE < *expires_at
        {
            return token.clone();
        }
        let token = self
            .issuer
            .issue(&self.subject, &self.grants, now, TOKEN_LIFETIME);
        *current = Some((now + TOKEN_LIFETIME, token.clone()));
        token
    }
}

impl Interceptor for ServiceToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = MetadataValue::try_from(format!("Bearer {}", self.token()))
            .map_err(|_| Status::internal("a token is ASCII"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}
