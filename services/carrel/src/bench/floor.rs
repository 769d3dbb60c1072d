//! The floor: what PostgreSQL does by itself, with the fewest statements that
//! a check-out can be made of, sent by pgbench over as many connections as the
//! service has clients.
//!
//! Its tables lie in the same server beside the real ones and are made after
//! them: columns, defaults, checks, indexes, fill factors and foreign keys.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use carrel_private_postgres::find_server_binaries;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, Row as _};
use tokio::process::Command;

use super::Bench;
use super::measure::Answered;

/// Copies for each second: more than a server can lend durably, one by one.
const COPIES_PER_SECOND: u32 = 20_000;
/// The same for each client, where there are many.
const COPIES_PER_CLIENT_SECOND: u32 = 1000;
/// Readers.
const READERS: u32 = 4000;

/// The real tables that the floor's are made after.
const TABLES: [&str; 4] = ["item_circulation", "patron_circulation", "loan", "outbox"];

/// pgbench, on the suite's server.
pub struct Floor {
    program: PathBuf,
    bench_folder: PathBuf,
    host: PathBuf,
    user: String,
    database: String,
    clients: u32,
    seconds: u32,
}

impl Floor {
    /// Finds pgbench beside the server's binaries.
    pub fn find(bench: &Bench, clients: u32, seconds: u32) -> anyhow::Result<Self> {
        let program = find_server_binaries()?.join("pgbench");
        ensure!(
            program.is_file(),
            "{} does not exist: pgbench measures what the database alone can do; it comes with Debian's \
             and Ubuntu's package postgresql (Fedora: postgresql-contrib)",
            program.display()
        );
        let options = bench.database("circulation")?;
        Ok(Self {
            program,
            bench_folder: bench.folder.join("floor"),
            host: options
                .get_socket()
                .context("the suite's server has no socket")?
                .clone(),
            user: options.get_username().to_owned(),
            database: options.get_database().unwrap_or_default().to_owned(),
            clients,
            seconds,
        })
    }

    /// Makes the tables anew, with every copy on its shelf.
    pub async fn prepare(&self, bench: &Bench) -> anyhow::Result<()> {
        let mut connection = bench.database("circulation")?.connect().await?;
        let per_second = COPIES_PER_SECOND.max(self.clients * COPIES_PER_CLIENT_SECOND);
        let copies = self.seconds * per_second;
        run(&mut connection, "drop schema if exists floor cascade").await?;
        run(&mut connection, "create schema floor").await?;
        for table in TABLES {
            copy_table(&mut connection, table).await?;
        }
        for table in TABLES {
            copy_foreign_keys(&mut connection, table).await?;
        }
        for statement in [
            // The real position is drawn from the real feed's sequence.
            "create sequence floor.outbox_position as bigint cache 1",
            "alter table floor.outbox alter column position set default (
                 case when pg_current_xact_id() is not null then nextval('floor.outbox_position') end)",
            // What is scanned: pgbench only has numbers.
            "alter table floor.item_circulation add column number integer not null",
            "alter table floor.patron_circulation add column number integer not null",
            &format!(
                "insert into floor.item_circulation (item_id, number)
                 select gen_random_uuid(), number from generate_series(0, {copies} - 1) number"
            ),
            &format!(
                "insert into floor.patron_circulation (patron_id, number)
                 select gen_random_uuid(), number from generate_series(0, {READERS} - 1) number"
            ),
            "create unique index on floor.item_circulation (number)",
            "create unique index on floor.patron_circulation (number)",
            "vacuum (analyze) floor.item_circulation, floor.patron_circulation, floor.loan, floor.outbox",
        ] {
            run(&mut connection, statement).await?;
        }
        std::fs::create_dir_all(&self.bench_folder)?;
        std::fs::write(self.script(), script(&mut connection).await?)?;
        Ok(())
    }

    fn script(&self) -> PathBuf {
        self.bench_folder.join("check-out.sql")
    }

    /// Lends as fast as it goes.
    pub async fn measure(&self) -> anyhow::Result<Vec<Answered>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let logs = self.bench_folder.join("log");
        let mut command = Command::new(&self.program);
        command
            .args(["--no-vacuum", "--protocol=prepared"])
            .arg(format!("--client={}", self.clients))
            .arg(format!("--jobs={}", threads.min(self.clients as usize)))
            .arg(format!("--time={}", self.seconds))
            .arg(format!("--define=clients={}", self.clients))
            .arg(format!("--define=readers={READERS}"))
            .arg("--define=n=-1")
            .arg("--file")
            .arg(self.script())
            .arg("--log")
            .arg("--log-prefix")
            .arg(&logs)
            .arg("--host")
            .arg(&self.host)
            .args(["--username", &self.user])
            .arg(&self.database)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let ended = command.output().await.context("pgbench can't be run")?;
        if !ended.status.success() {
            bail!("pgbench failed: {}", String::from_utf8_lossy(&ended.stderr));
        }
        let calls = read_logs(&self.bench_folder)?;
        ensure!(!calls.is_empty(), "pgbench lent nothing");
        Ok(calls)
    }
}

async fn run(connection: &mut PgConnection, statement: &str) -> anyhow::Result<()> {
    // Made of this file's own words and of what the database says of its tables.
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(connection)
        .await
        .with_context(|| format!("the floor's tables can't be made: {statement}"))?;
    Ok(())
}

async fn copy_table(connection: &mut PgConnection, table: &str) -> anyhow::Result<()> {
    let create = format!("create table floor.{table} (like public.{table} including all)");
    run(connection, &create).await?;
    let options: Option<String> = sqlx::query_scalar(
        "select array_to_string(reloptions, ', ') from pg_class where oid = $1::text::regclass",
    )
    .bind(format!("public.{table}"))
    .fetch_one(&mut *connection)
    .await?;
    match options {
        Some(options) => {
            run(
                connection,
                &format!("alter table floor.{table} set ({options})"),
            )
            .await
        }
        None => Ok(()),
    }
}

/// `like` leaves foreign keys out. Those between the floor's own tables point
/// there, the others to the real tables.
async fn copy_foreign_keys(connection: &mut PgConnection, table: &str) -> anyhow::Result<()> {
    let keys = sqlx::query(
        "select conname::text as name, pg_get_constraintdef(oid) as definition, confrelid::regclass::text as target
         from pg_constraint where conrelid = $1::text::regclass and contype = 'f'",
    )
    .bind(format!("public.{table}"))
    .fetch_all(&mut *connection)
    .await?;
    for key in keys {
        let (name, definition, target): (String, String, String) =
            (key.get("name"), key.get("definition"), key.get("target"));
        let definition = if TABLES.contains(&&*target) {
            definition.replace(
                &format!("REFERENCES {target}("),
                &format!("REFERENCES floor.{target}("),
            )
        } else {
            definition
        };
        let add = format!("alter table floor.{table} add constraint {name} {definition}");
        run(connection, &add).await?;
    }
    Ok(())
}

/// The check-out: six statements in a transaction. Each copy goes out once,
/// and copies that go out at about the same time go to different readers.
async fn script(connection: &mut PgConnection) -> anyhow::Result<String> {
    let service_point: String = sqlx::query_scalar("select id::text from service_point limit 1")
        .fetch_one(&mut *connection)
        .await?;
    let policies: Vec<(String, String)> =
        sqlx::query_as("select distinct on (kind) kind, id::text from policy order by kind")
            .fetch_all(&mut *connection)
            .await?;
    let policies: HashMap<String, String> = policies.into_iter().collect();
    let policy = |kind: &str| {
        let found = policies.get(kind);
        found.with_context(|| format!("the library has no {kind} policy"))
    };
    Ok(format!(
        r#"\set n :n + 1
\set copy :n * :clients + :client_id
\set reader :copy % :readers
begin;
select item_id from floor.item_circulation where number = :copy for update \gset
select patron_id from floor.patron_circulation where number = :reader for update \gset
insert into floor.loan (id, item_id, patron_id, action, checked_out_at, due_at, check_out_service_point_id,
    applied_rule, loan_policy_id, overdue_fine_policy_id, lost_item_policy_id, library_code, institution_code,
    lost_due_at)
values (gen_random_uuid(), :item_id, :patron_id, 1, now(), now() + interval '14 days', '{service_point}',
    '{{"line": 9, "text": "m book + g undergraduate : l two-weeks r all n standard o daily i standard", "version": 1}}',
    '{loan}', '{fine}', '{lost}', 'ALDM', 'ALD', now() + interval '42 days')
returning id as loan_id \gset
update floor.item_circulation set open_loan_id = :loan_id, status = 2, revision = revision + 1
where item_id = :item_id;
update floor.patron_circulation set open_loans = open_loans + 1 where patron_id = :patron_id;
insert into floor.outbox (event_id, type, subject_id, payload, occurred_at)
values (gen_random_uuid(), 'carrel.circulation.v1.LoanChanged', :loan_id, '\x{payload}', now());
commit;
"#,
        loan = policy("loan")?,
        fine = policy("overdue_fine")?,
        lost = policy("lost_item")?,
        // About the size of the event that the service writes.
        payload = "00".repeat(400),
    ))
}

/// pgbench writes a file for each of its threads. Returns their calls and
/// removes them.
fn read_logs(folder: &Path) -> anyhow::Result<Vec<Answered>> {
    let mut calls = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_log = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("log."));
        if !is_log {
            continue;
        }
        for line in std::fs::read_to_string(&path)?.lines() {
            calls.push(read_line(line).with_context(|| format!("pgbench logged {line:?}"))?);
        }
        std::fs::remove_file(&path)?;
    }
    Ok(calls)
}

/// `client transaction microseconds script epoch-seconds epoch-microseconds`.
fn read_line(line: &str) -> Option<Answered> {
    let fields: Vec<&str> = line.split(' ').collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Answered {
        at: Duration::from_secs(number(4)?) + Duration::from_micros(number(5)?),
        took: Duration::from_micros(number(2)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_pgbenchs_log_is_a_call() {
        let call = read_line("0 199 2241 0 1175850568 995598").unwrap();
        assert_eq!(call.took, Duration::from_micros(2241));
        assert_eq!(call.at, Duration::new(1_175_850_568, 995_598_000));
        // A transaction that failed has no time.
        assert!(read_line("0 200 failed 0 1175850568 998079").is_none());
    }
}
