//! The PostgreSQL that the tests of one process share.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;

use carrel_private_postgres::{Options, PrivatePostgres};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, PgConnection};
use tokio::net::lookup_host;
use tokio::sync::OnceCell;

use crate::proxy::Upstream;

/// Names an operator's server for the tests, as a URL whose role may create databases. A developer
/// who runs one test process after another saves the start of a server each time.
pub const SERVER_VARIABLE: &str = "CARREL_TEST_DATABASE_URL";

static SERVER: OnceCell<TestServer> = OnceCell::const_new();

/// The server that the tests of this process share.
#[derive(Debug)]
pub struct TestServer {
    administrator: PgConnectOptions,
    private: Option<PrivatePostgres>,
}

/// The server of this test process, started at the first call and gone with the process.
///
/// # Panics
/// Where no server can be had; the message says what to install.
pub async fn postgres() -> &'static TestServer {
    SERVER.get_or_init(TestServer::start).await
}

impl TestServer {
    async fn start() -> Self {
        if let Some(url) = env::var(SERVER_VARIABLE).ok().filter(|url| !url.is_empty()) {
            let administrator = url
                .parse()
                .unwrap_or_else(|error| panic!("{SERVER_VARIABLE} is no PostgreSQL URL: {error}"));
            return Self {
                administrator,
                private: None,
            };
        }
        let options = Options {
            max_connections: 400,
            cluster_cache: Some(cluster_cache()),
            ..Options::temporary()
        };
        let private = match PrivatePostgres::start(options).await {
            Ok(private) => private,
            Err(error) => panic!("the tests need PostgreSQL: {error}"),
        };
        let administrator = private
            .admin_url("postgres")
            .parse()
            .expect("the private server's URL is well-formed");
        Self {
            administrator,
            private: Some(private),
        }
    }

    /// The private server; `None` where [`SERVER_VARIABLE`] names another.
    pub fn private(&self) -> Option<&PrivatePostgres> {
        self.private.as_ref()
    }

    /// The role that owns the tests' databases and that they connect as.
    pub(crate) fn owner(&self) -> &str {
        match self.private {
            Some(_) => carrel_private_postgres::SERVICE_ROLE,
            None => self.administrator.get_username(),
        }
    }

    /// The URL of a database, for the role that owns it.
    pub fn url(&self, database: &str) -> String {
        match &self.private {
            Some(private) => private.url(database),
            None => self
                .administrator
                .clone()
                .database(database)
                .to_url_lossy()
                .to_string(),
        }
    }

    /// How to connect to a database as its owner.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        let options = self
            .administrator
            .clone()
            .username(self.owner())
            .database(database);
        if self.private.is_some() {
            options.ssl_mode(PgSslMode::Disable)
        } else {
            options
        }
    }

    /// The URL of a database behind a proxy in front of this server.
    pub(crate) fn url_at(&self, database: &str, proxy: SocketAddr) -> String {
        let mut url = self.options(database).to_url_lossy();
        let ip = proxy.ip().to_string();
        url.set_host(Some(&ip)).expect("an address is a host");
        url.set_port(Some(proxy.port()))
            .expect("the scheme has ports");
        url.to_string()
    }

    /// Where a proxy has to lead to reach this server.
    pub(crate) async fn upstream(&self) -> Upstream {
        let (host, port) = (self.administrator.get_host(), self.administrator.get_port());
        if let Some(folder) = self.administrator.get_socket() {
            return Upstream::Unix(folder.join(format!(".s.PGSQL.{port}")));
        }
        let found = lookup_host((host, port))
            .await
            .ok()
            .and_then(|mut addresses| addresses.next());
        Upstream::Tcp(
            found.unwrap_or_else(|| panic!("{SERVER_VARIABLE} names the unknown host {host}")),
        )
    }

    /// A connection as administrator, to the server's own database.
    pub async fn administrator(&self) -> PgConnection {
        match self.administrator.connect().await {
            Ok(connection) => connection,
            Err(error) => panic!("the tests' PostgreSQL does not answer: {error}"),
        }
    }
}

/// Clusters are cached among the temporary files, by user: as root the server's account has to reach
/// them, so they cannot lie in the checkout.
fn cluster_cache() -> PathBuf {
    match env::var_os("CARREL_TEST_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => carrel_private_postgres::default_cluster_cache(),
    }
}
