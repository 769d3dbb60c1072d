//! A service with the parts that every service has, and none of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use carrel_runtime::{
    Assembly, BarcodeKey, Definition, Grant, Running, Settings, StartError, TokenIssuer, bind,
    start,
};
use jiff::{SignedDuration, Timestamp};
use sqlx::migrate::Migrator;
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// No tables beside the foundation's.
pub static NO_MIGRATIONS: Migrator = Migrator::DEFAULT;

/// The keys of a suite, in a folder that goes with it.
pub struct Keys {
    folder: TempDir,
    pub issuer: TokenIssuer,
}

impl Keys {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = TokenIssuer::create(&folder.path().join("key.pem")).unwrap();
        BarcodeKey::create(&folder.path().join("barcode.key")).unwrap();
        let jwks = serde_json::to_vec(&issuer.jwks()).unwrap();
        std::fs::write(folder.path().join("trusted.json"), jwks).unwrap();
        Self { folder, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn settings(&self, database_url: &str) -> Settings {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database_url: database_url.into(),
            database_connections: 5,
            trusted_keys: self.path("trusted.json"),
            service_key: self.path("key.pem"),
            barcode_key: self.path("barcode.key"),
            peers: Vec::new(),
            movable_clock: true,
            end_with_input: false,
            clock_offset: 0,
        }
    }

    /// A token for an hour.
    pub fn token(&self, grants: &[Grant]) -> String {
        self.issuer.issue(
            "tester",
            grants,
            Timestamp::now(),
            SignedDuration::from_hours(1),
        )
    }
}

pub async fn start_bare(settings: &Settings) -> Result<Running, StartError> {
    let listener = bind(settings.listen).await?;
    let definition = Definition {
        name: "bare",
        migrations: &NO_MIGRATIONS,
        peer_permissions: &[],
        build: |_: &_| Ok(Assembly::new()),
    };
    start(settings, listener, definition).await
}

pub async fn connect(service: &Running) -> Channel {
    Channel::from_shared(format!("http://{}", service.address()))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

pub fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

pub fn reason(status: &Status) -> String {
    carrel_runtime::read::reason(status).unwrap_or_else(|| format!("no reason: {status:?}"))
}
