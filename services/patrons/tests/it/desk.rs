//! A running patrons service and whoever calls it.

use std::time::Duration;

use carrel_database::with_foundation;
use carrel_patrons::{MIGRATIONS, Settings};
use carrel_proto::patrons::v1 as wire;
use carrel_proto::patrons::v1::manual_block_service_client::ManualBlockServiceClient;
use carrel_proto::patrons::v1::patron_group_service_client::PatronGroupServiceClient;
use carrel_proto::patrons::v1::patron_service_client::PatronServiceClient;
use carrel_proto::patrons::v1::proxy_service_client::ProxyServiceClient;
use carrel_proto::patrons::v1::roster_service_client::RosterServiceClient;
use carrel_runtime::{BarcodeKey, Grant, Running, TokenIssuer, read};
use carrel_testkit::{TcpProxy, TestDatabase};
use jiff::{SignedDuration, Timestamp};
use prost_types::FieldMask;
use sqlx::PgPool;
use tempfile::TempDir;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Puts a token on each call.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Service = InterceptedService<Channel, Token>;

/// A caller's clients.
#[derive(Clone)]
pub struct Caller {
    pub patrons: PatronServiceClient<Service>,
    pub groups: PatronGroupServiceClient<Service>,
    pub blocks: ManualBlockServiceClient<Service>,
    pub proxies: ProxyServiceClient<Service>,
    pub rosters: RosterServiceClient<Service>,
}

/// The service on its own database.
pub struct Desk {
    pub database: TestDatabase,
    pub running: Running,
    pub barcode_key: BarcodeKey,
    issuer: TokenIssuer,
    channel: Channel,
    _keys: TempDir,
}

impl Desk {
    /// Starts the service, with the groups "undergraduate", "faculty" and
    /// "community".
    pub async fn open() -> Self {
        let database = TestDatabase::create(&with_foundation(&MIGRATIONS)).await;
        let keys = tempfile::tempdir().unwrap();
        let at = |name: &str| keys.path().join(name);
        let issuer = TokenIssuer::create(&at("key.pem")).unwrap();
        std::fs::write(at("jwks.json"), serde_json::to_vec(&issuer.jwks()).unwrap()).unwrap();
        let barcode_key = BarcodeKey::create(&at("barcode.key")).unwrap();
        let runtime = carrel_runtime::Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            database_url: database.url.clone(),
            database_connections: 10,
            trusted_keys: at("jwks.json"),
            service_key: at("key.pem"),
            barcode_key: at("barcode.key"),
            peers: Vec::new(),
            movable_clock: true,
            end_with_input: false,
            clock_offset: 0,
        };
        let settings = Settings { runtime };
        let listener = carrel_runtime::bind(settings.runtime.listen).await.unwrap();
        let runtime = settings.runtime.clone();
        let definition = carrel_patrons::definition(settings);
        let mut running = carrel_runtime::start(&runtime, listener, definition)
            .await
            .unwrap();
        running.ready(Duration::from_secs(20)).await.unwrap();
        let url = format!("http://{}", running.address());
        let channel = Endpoint::from_shared(url).unwrap().connect_lazy();
        let desk = Self {
            database,
            running,
            barcode_key,
            issuer,
            channel,
            _keys: keys,
        };
        for code in ["undergraduate", "faculty", "community"] {
            desk.create_group(code).await.unwrap();
        }
        desk
    }

    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// A technician who may do everything.
    pub fn technician(&self) -> Caller {
        self.caller("desk-1", &["*"])
    }

    /// Somebody with these permissions.
    pub fn caller(&self, subject: &str, permissions: &[&str]) -> Caller {
        self.caller_over(self.channel.clone(), subject, permissions)
    }

    /// A technician behind a proxy.
    pub fn technician_behind(&self, proxy: &TcpProxy) -> Caller {
        let url = format!("http://{}", proxy.address());
        let channel = Endpoint::from_shared(url).unwrap().connect_lazy();
        self.caller_over(channel, "desk-1", &["*"])
    }

    fn caller_over(&self, channel: Channel, subject: &str, permissions: &[&str]) -> Caller {
        let grants: Vec<Grant> = permissions.iter().map(|p| Grant::everywhere(p)).collect();
        let lifetime = SignedDuration::from_mins(30);
        let token = self
            .issuer
            .issue(subject, &grants, Timestamp::now(), lifetime);
        let token = Token(format!("Bearer {token}").parse().unwrap());
        let service = InterceptedService::new(channel, token);
        Caller {
            patrons: PatronServiceClient::new(service.clone()),
            groups: PatronGroupServiceClient::new(service.clone()),
            blocks: ManualBlockServiceClient::new(service.clone()),
            proxies: ProxyServiceClient::new(service.clone()),
            rosters: RosterServiceClient::new(service),
        }
    }

    async fn create_group(&self, code: &str) -> Result<(), Status> {
        let request = wire::CreatePatronGroupRequest {
            patron_group: Some(wire::PatronGroup {
                id: String::new(),
                code: code.into(),
                name: format!("Group {code}"),
            }),
            request_id: new_id(),
        };
        self.technician()
            .groups
            .create_patron_group(request)
            .await
            .map(drop)
    }

    pub async fn create(&self, patron: wire::Patron) -> Result<wire::Patron, Status> {
        self.technician().create(patron, &new_id()).await
    }

    pub async fn update(
        &self,
        patron: wire::Patron,
        paths: &[&str],
    ) -> Result<wire::Patron, Status> {
        self.technician().update(patron, paths, &new_id()).await
    }

    /// Everything in the outbox, in order: type and payload.
    pub async fn events(&self) -> Vec<(String, Vec<u8>)> {
        sqlx::query_as("select type, payload from outbox order by position")
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    /// The payloads of one type's events, in order.
    pub async fn events_of<M: prost::Name + Default>(&self) -> Vec<M> {
        let events = self.events().await;
        let wanted = events.iter().filter(|(name, _)| *name == M::full_name());
        wanted
            .map(|(_, payload)| M::decode(&payload[..]).unwrap())
            .collect()
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }
}

impl Caller {
    pub async fn create(
        &self,
        patron: wire::Patron,
        request_id: &str,
    ) -> Result<wire::Patron, Status> {
        let request = wire::CreatePatronRequest {
            patron: Some(patron),
            request_id: request_id.into(),
        };
        let answer = self.patrons.clone().create_patron(request).await?;
        Ok(answer.into_inner().patron.unwrap())
    }

    pub async fn update(
        &self,
        patron: wire::Patron,
        paths: &[&str],
        request_id: &str,
    ) -> Result<wire::Patron, Status> {
        let request = wire::UpdatePatronRequest {
            patron: Some(patron),
            update_mask: Some(FieldMask {
                paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            }),
            request_id: request_id.into(),
        };
        let answer = self.patrons.clone().update_patron(request).await?;
        Ok(answer.into_inner().patron.unwrap())
    }

    pub async fn get(&self, id: &str) -> Result<wire::Patron, Status> {
        let request = wire::GetPatronRequest { id: id.into() };
        let answer = self.patrons.clone().get_patron(request).await?;
        Ok(answer.into_inner().patron.unwrap())
    }

    pub async fn find(&self, name_prefix: &str) -> Result<Vec<wire::Patron>, Status> {
        let request = wire::ListPatronsRequest {
            name_prefix: name_prefix.into(),
            ..Default::default()
        };
        Ok(self
            .patrons
            .clone()
            .list_patrons(request)
            .await?
            .into_inner()
            .patrons)
    }

    pub async fn block(&self, block: wire::ManualBlock) -> Result<wire::ManualBlock, Status> {
        let request = wire::CreateManualBlockRequest {
            manual_block: Some(block),
            request_id: new_id(),
        };
        let answer = self.blocks.clone().create_manual_block(request).await?;
        Ok(answer.into_inner().manual_block.unwrap())
    }

    /// Lets one patron borrow for another.
    pub async fn let_borrow(&self, proxy: wire::Proxy) -> Result<wire::Proxy, Status> {
        let request = wire::CreateProxyRequest {
            proxy: Some(proxy),
            request_id: new_id(),
        };
        let answer = self.proxies.clone().create_proxy(request).await?;
        Ok(answer.into_inner().proxy.unwrap())
    }

    pub async fn end_proxy(&self, id: &str) -> Result<wire::Proxy, Status> {
        let request = wire::EndProxyRequest {
            id: id.into(),
            request_id: new_id(),
        };
        let answer = self.proxies.clone().end_proxy(request).await?;
        Ok(answer.into_inner().proxy.unwrap())
    }

    pub async fn lift(&self, id: &str) -> Result<wire::ManualBlock, Status> {
        let request = wire::LiftManualBlockRequest {
            id: id.into(),
            request_id: new_id(),
        };
        let answer = self.blocks.clone().lift_manual_block(request).await?;
        Ok(answer.into_inner().manual_block.unwrap())
    }
}

pub fn new_id() -> String {
    carrel_ids::new_id().to_string()
}

/// A student who was added at the desk.
pub fn student(last_name: &str, barcode: &str) -> wire::Patron {
    wire::Patron {
        barcode: barcode.into(),
        patron_group: "undergraduate".into(),
        last_name: last_name.into(),
        first_name: "Juniper".into(),
        home_library: "ALDM".into(),
        affiliation: "student".into(),
        active: true,
        ..Default::default()
    }
}

pub fn date(year: i32, month: i32, day: i32) -> carrel_proto::r#type::v1::Date {
    carrel_proto::r#type::v1::Date { year, month, day }
}

/// The stable reason of a refusal.
#[track_caller]
pub fn reason<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    read::reason(&outcome.unwrap_err()).expect("a refusal has a reason")
}
