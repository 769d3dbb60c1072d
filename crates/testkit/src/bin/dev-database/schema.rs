//! The services that have a schema, and making it in a new database.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use carrel_private_postgres::{PrivatePostgres, SERVICE_ROLE};
use sqlx::migrate::{Migration, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Migrations that every service's database begins with, in this order.
const FOUNDATIONS: [&str; 2] = ["crates/database/migrations", "crates/outbox/migrations"];

/// A service with migrations of its own.
#[derive(Debug, Clone)]
pub struct Service {
    /// The name of its folder.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
}

impl Service {
    /// The variable in which its query macros look for a database: `CATALOG_DATABASE_URL`.
    pub fn variable(&self) -> String {
        format!(
            "{}_DATABASE_URL",
            self.name.to_uppercase().replace('-', "_")
        )
    }

    /// Its database here.
    pub fn database(&self) -> String {
        self.name.replace('-', "_")
    }

    fn migrations(&self) -> PathBuf {
        self.folder.join("migrations")
    }
}

/// The services named, or all that have migrations.
pub fn services(workspace: &Path, named: &[String]) -> Result<Vec<Service>> {
    let parent = workspace.join("services");
    let mut services = Vec::new();
    for entry in fs::read_dir(&parent).with_context(|| format!("reading {parent:?}"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let service = Service {
            name,
            folder: entry.path(),
        };
        if service.migrations().is_dir() && (named.is_empty() || named.contains(&service.name)) {
            check_configuration(&service)?;
            services.push(service);
        }
    }
    if let Some(unknown) = named
        .iter()
        .find(|name| !services.iter().any(|service| service.name == **name))
    {
        bail!("there are no migrations in services/{unknown}/migrations");
    }
    services.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(services)
}

/// Without this line the macros would look at DATABASE_URL, whatever that leads to.
fn check_configuration(service: &Service) -> Result<()> {
    let path = service.folder.join("sqlx.toml");
    let line = format!("database-url-var = \"{}\"", service.variable());
    if fs::read_to_string(&path)
        .is_ok_and(|content| content.lines().any(|found| found.trim() == line))
    {
        return Ok(());
    }
    bail!("{path:?} must have, under [common], the line\n{line}")
}

/// Makes the service's database anew, by the migrations in its folder.
pub async fn make(postgres: &PrivatePostgres, service: &Service, workspace: &Path) -> Result<()> {
    let database = service.database();
    postgres.drop_database(&database).await?;
    postgres.create_database(&database).await?;
    let mut migrations: Vec<Migration> = Vec::new();
    let foundations = FOUNDATIONS
        .iter()
        .map(|folder| workspace.join(folder))
        .filter(|folder| folder.is_dir());
    for folder in foundations.chain([service.migrations()]) {
        let read = Migrator::new(folder.as_path())
            .await
            .with_context(|| format!("reading {folder:?}"))?;
        migrations.extend(read.iter().cloned());
    }
    let mut connection = PgConnection::connect(&postgres.url(&database)).await?;
    let migrator = Migrator::with_migrations(migrations);
    migrator
        .run(&mut connection)
        .await
        .with_context(|| format!("migrating {}", service.name))?;
    Ok(connection.close().await?)
}

/// Drops the databases that tests left on this server, and lets their role make new ones.
pub async fn drop_leftovers_of_tests(postgres: &PrivatePostgres) -> Result<()> {
    let mut connection = PgConnection::connect(&postgres.admin_url("postgres")).await?;
    let leftovers: Vec<String> = sqlx::query_scalar(
        "select datname::text from pg_database where datname ~ '^carrel_(test|template)_'",
    )
    .fetch_all(&mut connection)
    .await?;
    for database in leftovers {
        postgres.drop_database(&database).await?;
    }
    let statement = format!("alter role {SERVICE_ROLE} createdb");
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}
