//! Connections to a running suite, with a token on each call.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// A channel with a token on each call.
pub type Authorized = InterceptedService<Channel, Bearer>;

/// Puts the token on each call.
#[derive(Debug, Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A running suite's services.
#[derive(Debug, Clone)]
pub struct Suite {
    addresses: BTreeMap<String, String>,
    channels: BTreeMap<String, Channel>,
    bearer: Bearer,
}

impl Suite {
    /// Prepares connections; each is made when first used.
    pub fn new(addresses: BTreeMap<String, String>, token: &str) -> anyhow::Result<Self> {
        let mut value = MetadataValue::try_from(format!("Bearer {token}"))
            .context("the token is not a token")?;
        value.set_sensitive(true);
        Self::with_bearer(addresses, Bearer(value))
    }

    /// The same services and token, over connections of its own.
    pub fn reconnected(&self) -> anyhow::Result<Self> {
        Self::with_bearer(self.addresses.clone(), self.bearer.clone())
    }

    fn with_bearer(addresses: BTreeMap<String, String>, bearer: Bearer) -> anyhow::Result<Self> {
        let channels = addresses
            .iter()
            .map(|(service, address)| {
                let url = if address.contains("://") {
                    address.clone()
                } else {
                    format!("http://{address}")
                };
                let endpoint = Endpoint::from_shared(url)
                    .with_context(|| format!("the address of {service} is none: {address}"))?
                    .connect_timeout(Duration::from_secs(5))
                    .tcp_nodelay(true);
                Ok((service.clone(), endpoint.connect_lazy()))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            addresses,
            channels,
            bearer,
        })
    }

    /// The channel to a service.
    pub fn channel(&self, service: &str) -> anyhow::Result<Authorized> {
        self.channels
            .get(service)
            .map(|channel| InterceptedService::new(channel.clone(), self.bearer.clone()))
            .ok_or_else(|| anyhow!("the endpoints name no {service} service"))
    }

    /// The address of a service.
    pub fn address(&self, service: &str) -> Option<&str> {
        self.addresses.get(service).map(String::as_str)
    }
}

/// What a refused call says to a person: the reason and the message.
pub fn explain(status: &Status) -> anyhow::Error {
    match carrel_runtime::read::reason(status) {
        Some(reason) => anyhow!("{reason}: {}", status.message()),
        None => anyhow!("{:?}: {}", status.code(), status.message()),
    }
}
