//! Starting the suite on this machine, and stopping it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use carrel_private_postgres::{Options, Place, PrivatePostgres};
use carrel_proto::operations::v1::GetClockRequest;
use carrel_proto::operations::v1::clock_service_client::ClockServiceClient;
use carrel_runtime::{Grant, Running, TokenIssuer};
use carrel_sis_simulator as sis;
use clap::Parser as _;
use jiff::{SignedDuration, Timestamp};
use sqlx::Connection as _;
use tokio::net::TcpListener;

use super::child::BillingProcess;
use super::serve::{self, ServeProgram};
use super::{DataFolder, Keys, SERVICES, Service};
use crate::connect::Suite;

/// An operator's own server instead of the private one.
pub(super) const DATABASE_URL_VARIABLE: &str = "CARREL_DATABASE_URL";
/// Between two looks at whether the private PostgreSQL still runs.
const POSTGRES_LOOK: Duration = Duration::from_secs(1);
/// Between two questions whether a service is ready.
const READY_LOOK: Duration = Duration::from_millis(50);
/// How long the services may take to become ready.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long the development token is good for.
const DEVELOPMENT_TOKEN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How a suite is run.
#[derive(Debug, Clone)]
pub struct SuiteOptions {
    /// Where its data is.
    pub folder: DataFolder,
    /// Whether the private PostgreSQL keeps its data and survives a power cut.
    pub durable: bool,
    /// When the day of a demonstration begins: its clocks start then and can
    /// be moved on. `None`: the machine's clock.
    pub clock_begins: Option<Timestamp>,
    /// The first of six ports in a row; `None`: any free ones.
    pub ports_from: Option<u16>,
    /// Whether billing runs in a process of its own, so that it can be killed.
    pub billing_apart: bool,
    /// A PostgreSQL server of the operator's, instead of the private one.
    pub operators_server: Option<String>,
}

impl SuiteOptions {
    /// How far the services' clocks are ahead of the machine's.
    fn offset(&self) -> SignedDuration {
        self.clock_begins.map_or(SignedDuration::ZERO, |begin| {
            begin.duration_since(Timestamp::now())
        })
    }
}

/// The flag that sets a service's clock.
pub(super) fn clock_offset(offset: SignedDuration) -> OsString {
    format!("--clock-offset={}", offset.as_secs()).into()
}

/// A suite that runs in this process.
pub struct LocalSuite {
    folder: DataFolder,
    services: Vec<Running>,
    /// The command line of each service that runs inside this process.
    commands: BTreeMap<&'static str, Vec<OsString>>,
    billing: Option<BillingProcess>,
    sis: sis::Running,
    postgres: Option<PrivatePostgres>,
    /// host:port of each service, and the URL of the student-account system.
    endpoints: BTreeMap<String, String>,
    token: String,
}

impl LocalSuite {
    /// Starts everything, and waits until it is ready.
    pub async fn start(options: &SuiteOptions) -> anyhow::Result<Self> {
        let folder = options.folder.clone();
        let keys = Keys::in_folder(folder.path());
        let issuer = keys.make_missing()?;
        let (postgres, databases) = databases(options).await?;

        let (listeners, sis_listen) = take_ports(options.ports_from).await?;
        let sis = start_sis(&folder, &keys, sis_listen, options.clock_begins.is_some()).await?;
        let mut endpoints = BTreeMap::from([("sis".to_owned(), sis.url())]);
        for (service, listener) in SERVICES.iter().zip(&listeners) {
            endpoints.insert(service.name.to_owned(), listener.local_addr()?.to_string());
        }

        let mut services = Vec::new();
        let mut commands = BTreeMap::new();
        let mut billing = None;
        for (service, listener) in SERVICES.iter().zip(listeners) {
            let mut arguments = arguments(
                service,
                &endpoints,
                &databases[service.name],
                &keys,
                options,
            );
            if options.billing_apart && service.name == "billing" {
                let address = listener.local_addr()?;
                drop(listener);
                billing = Some(BillingProcess::new(arguments, address, folder.path()));
                continue;
            }
            arguments.push(clock_offset(options.offset()));
            let command = ServeProgram::try_parse_from(&arguments)?.command;
            services.push(serve::start(command, listener).await?);
            commands.insert(service.name, arguments);
        }
        if let Some(billing) = &mut billing {
            billing.start(options.offset()).await?;
        }
        for service in &mut services {
            service.ready(READY_DEADLINE).await?;
        }

        let token = development_token(&issuer);
        if billing.is_some() {
            ready(&Suite::new(endpoints.clone(), &token)?, "billing").await?;
        }
        if let Some(begin) = options.clock_begins {
            set_sis_clock(&endpoints["sis"], begin).await?;
        }
        folder.publish(&endpoints, &databases, &token)?;
        Ok(Self {
            folder,
            services,
            commands,
            billing,
            sis,
            postgres,
            endpoints,
            token,
        })
    }

    /// Connections to it, with a token that allows everything.
    pub fn connect(&self) -> anyhow::Result<Suite> {
        Suite::new(self.endpoints.clone(), &self.token)
    }

    /// Where its services listen.
    pub fn endpoints(&self) -> &BTreeMap<String, String> {
        &self.endpoints
    }

    /// The process that billing runs in, where it is one of its own.
    pub fn billing(&mut self) -> Option<&mut BillingProcess> {
        self.billing.as_mut()
    }

    /// Stops one service; the others go on.
    pub async fn stop_service(&mut self, name: &str) -> anyhow::Result<()> {
        let place = self
            .services
            .iter()
            .position(|service| service.name() == name);
        let place = place.with_context(|| format!("no {name} service runs in this process"))?;
        self.services.remove(place).stop().await;
        Ok(())
    }

    /// Starts a service again that was stopped, where it was, and waits until
    /// it is ready.
    pub async fn start_service(&mut self, name: &str) -> anyhow::Result<()> {
        let arguments = self.commands.get(name);
        let arguments =
            arguments.with_context(|| format!("no {name} service ran in this process"))?;
        let listener = carrel_runtime::bind(self.endpoints[name].parse()?).await?;
        let command = ServeProgram::try_parse_from(arguments)?.command;
        let mut service = serve::start(command, listener).await?;
        service.ready(READY_DEADLINE).await?;
        self.services.push(service);
        Ok(())
    }

    /// Waits until a part ends by itself, and says which.
    pub async fn any_ended(&mut self) -> &'static str {
        let names: Vec<_> = self.services.iter().map(Running::name).collect();
        let postgres = Self::postgres_ended(self.postgres.as_mut());
        let ends = self
            .services
            .iter_mut()
            .map(|service| Box::pin(service.ended()));
        tokio::select! {
            ((), index, _) = futures::future::select_all(ends) => names[index],
            () = postgres => "PostgreSQL",
        }
    }

    /// Lets running calls end, then stops everything in the order in which
    /// the parts need each other. Every part is stopped, whatever another one
    /// answers; the first error is returned.
    pub async fn stop(self) -> anyhow::Result<()> {
        let mut outcomes = Vec::new();
        if let Some(billing) = self.billing {
            outcomes.push(billing.stop().await);
        }
        futures::future::join_all(self.services.into_iter().map(Running::stop)).await;
        outcomes.push(self.sis.stop().await.map_err(Into::into));
        if let Some(postgres) = self.postgres {
            outcomes.push(postgres.stop().await.map_err(Into::into));
        }
        self.folder.retract();
        outcomes.into_iter().collect()
    }

    /// Waits until the private PostgreSQL, where there is one, has ended by
    /// itself.
    async fn postgres_ended(postgres: Option<&mut PrivatePostgres>) {
        let Some(postgres) = postgres else {
            return std::future::pending().await;
        };
        while matches!(postgres.exited(), Ok(None)) {
            tokio::time::sleep(POSTGRES_LOOK).await;
        }
    }
}

/// Waits until a service in another process is ready.
async fn ready(suite: &Suite, service: &str) -> anyhow::Result<()> {
    let mut clock = ClockServiceClient::new(suite.channel(service)?);
    let answers = async {
        while clock.get_clock(GetClockRequest {}).await.is_err() {
            tokio::time::sleep(READY_LOOK).await;
        }
    };
    tokio::time::timeout(READY_DEADLINE, answers)
        .await
        .with_context(|| format!("the {service} service is not ready; its log says why"))
}

/// Sets the clock of the student-account system.
async fn set_sis_clock(url: &str, now: Timestamp) -> anyhow::Result<()> {
    let request = reqwest::Client::new().put(format!("{url}/admin/clock"));
    let answer = request
        .json(&serde_json::json!({"now": now}))
        .send()
        .await?;
    answer.error_for_status()?;
    Ok(())
}

/// A token with every permission, for development on this machine.
fn development_token(issuer: &TokenIssuer) -> String {
    issuer.issue(
        "developer",
        &[Grant::everywhere("*")],
        Timestamp::now(),
        DEVELOPMENT_TOKEN,
    )
}

/// The PostgreSQL server, and each service's database on it.
async fn databases(
    options: &SuiteOptions,
) -> anyhow::Result<(Option<PrivatePostgres>, BTreeMap<String, String>)> {
    let mut urls = BTreeMap::new();
    if let Some(server) = &options.operators_server {
        for service in SERVICES {
            let url = operators_database(server, service.name).await?;
            urls.insert(service.name.to_owned(), url);
        }
        return Ok((None, urls));
    }
    let data = options.folder.path().join("postgres");
    let server = PrivatePostgres::start(if options.durable {
        Options::kept(data)
    } else {
        Options {
            place: Place::Kept(data.clone()),
            ..Options::temporary()
        }
    })
    .await?;
    for service in SERVICES {
        server.create_database(service.name).await?;
        urls.insert(service.name.to_owned(), server.url(service.name));
    }
    Ok((Some(server), urls))
}

/// A service's database on an operator's server, made where it is missing.
async fn operators_database(server: &str, service: &str) -> anyhow::Result<String> {
    let unreachable =
        || format!("the PostgreSQL server that {DATABASE_URL_VARIABLE} names can't be used");
    let name = format!("carrel_{service}");
    let options: sqlx::postgres::PgConnectOptions = server.parse().with_context(unreachable)?;
    let mut connection = sqlx::PgConnection::connect_with(&options)
        .await
        .with_context(unreachable)?;
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&name)
            .fetch_one(&mut connection)
            .await?;
    if !exists {
        // The name is one of ours, made of letters and an underscore.
        sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}")))
            .execute(&mut connection)
            .await
            .with_context(|| format!("the database {name} can't be created; create it by hand"))?;
    }
    use sqlx::ConnectOptions as _;
    Ok(options.database(&name).to_url_lossy().to_string())
}

/// A listener for each service, and the address for the student-account
/// system.
async fn take_ports(ports_from: Option<u16>) -> anyhow::Result<(Vec<TcpListener>, SocketAddr)> {
    let address = |offset: usize| {
        let port = match ports_from {
            None => 0,
            Some(first) => first + u16::try_from(offset).expect("there are few services"),
        };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    };
    let mut listeners = Vec::new();
    for offset in 0..SERVICES.len() {
        listeners.push(carrel_runtime::bind(address(offset)).await?);
    }
    Ok((listeners, address(SERVICES.len())))
}

async fn start_sis(
    folder: &DataFolder,
    keys: &Keys,
    listen: SocketAddr,
    movable_clock: bool,
) -> anyhow::Result<sis::Running> {
    let api_key = std::fs::read_to_string(&keys.sis_api_key)
        .with_context(|| format!("{} can't be read", keys.sis_api_key.display()))?;
    let mut config = sis::Config::on_loopback(folder.path().join("sis"), api_key.trim());
    config.listen = listen;
    config.movable_clock = movable_clock;
    Ok(sis::start(config).await?)
}

/// The command line of a service: the same whether it runs inside this
/// process or in one of its own.
fn arguments(
    service: &Service,
    endpoints: &BTreeMap<String, String>,
    database_url: &str,
    keys: &Keys,
    options: &SuiteOptions,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["serve", service.name].map(Into::into).into();
    let mut flag = |name: &str, value: OsString| {
        arguments.push(name.into());
        arguments.push(value);
    };
    flag("--database-url", database_url.into());
    flag("--trusted-keys", keys.trusted_keys.clone().into());
    flag("--service-key", keys.token_key.clone().into());
    flag("--barcode-key", keys.barcode_key.clone().into());
    for peer in service.peers {
        flag(
            "--peer",
            format!("{peer}=http://{}", endpoints[*peer]).into(),
        );
    }
    if service.name == "billing" {
        flag("--sis-url", endpoints["sis"].clone().into());
        flag("--sis-api-key-file", keys.sis_api_key.clone().into());
    }
    if options.clock_begins.is_some() {
        arguments.push("--movable-clock".into());
        if service.name == "billing" {
            // The simulator beside it is quick, and so is the look-up after a
            // crash: a posting is left alone until its exchange must be over.
            arguments.push("--sis-deadline=3".into());
        }
    }
    arguments
}
