//! Two replicas age one district's loans while one of them is killed again and
//! again, in the middle of its work.

use std::collections::HashMap;
use std::process::Command;
use std::time::{Duration, Instant};

use carrel_circulation::projection::catalog::CatalogProjection;
use carrel_outbox::Projection;
use carrel_proto::catalog::v1::{Item, ItemChanged};
use carrel_proto::circulation::v1::*;
use carrel_proto::operations::v1::SetClockRequest;
use carrel_proto::operations::v1::clock_service_client::ClockServiceClient;
use carrel_runtime::Grant;
use carrel_testkit::{ChildProcess, TestDatabase, eventually, free_port};
use jiff::Timestamp;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;

use crate::desk::*;

const PATRONS: usize = 25;
/// Loans of one day; each day's become overdue and lost together.
const A_DAY: usize = 250;
const DAYS: i8 = 6;

/// Longer than a batch takes: who holds loans for so long is frozen.
const HELD: Duration = Duration::from_secs(1);

struct Replica {
    process: ChildProcess,
    address: String,
}

struct Replicas {
    keys: Keys,
    database: TestDatabase,
    running: Vec<Replica>,
    logs: String,
    clock: Timestamp,
}

impl Replicas {
    async fn start(&mut self, place: usize) -> Replica {
        let settings = self.keys.settings(&self.database.url, stopped_peers());
        let address = format!("127.0.0.1:{}", free_port());
        let offset = self.clock.duration_since(Timestamp::now()).as_secs();
        let mut command = Command::new(env!("CARGO_BIN_EXE_carrel-circulation"));
        command.args([
            "--listen",
            &address,
            "--database-url",
            &self.database.url,
            "--movable-clock",
        ]);
        command.arg(format!("--clock-offset={offset}"));
        for (flag, file) in [
            ("--trusted-keys", &settings.trusted_keys),
            ("--service-key", &settings.service_key),
            ("--barcode-key", &settings.barcode_key),
        ] {
            command.arg(flag).arg(file);
        }
        for peer in &settings.peers {
            command.args(["--peer", &format!("{}={}", peer.service, peer.url)]);
        }
        let process = ChildProcess::spawn(format!("replica-{place}"), &mut command);
        Replica { process, address }
    }

    /// Moves the clock of every replica that takes calls; one that starts has
    /// the time from its start.
    async fn wait_until(&mut self, clock: Timestamp) {
        self.clock = clock;
        for replica in &self.running {
            let endpoint = Endpoint::from_shared(format!("http://{}", replica.address)).unwrap();
            let token = self.keys.token("operator", &[Grant::everywhere("*")]);
            let mut client = ClockServiceClient::new(InterceptedService::new(
                endpoint.connect_lazy(),
                Bearer::new(token),
            ));
            eventually(
                "the replica takes calls",
                Duration::from_secs(60),
                async || {
                    let request = SetClockRequest {
                        now: Some(carrel_runtime::wire::to_timestamp(clock)),
                        request_id: id(),
                    };
                    client.set_clock(request).await.ok()
                },
            )
            .await;
        }
    }

    /// Kills a replica in the middle of a batch, as a power cut does, and starts
    /// it again: both are frozen at work, and the other one goes on. Where it
    /// was the other's batch, the next one is waited for. Gives whether one was
    /// caught before nothing was left to do.
    async fn kill_one_at_work(&mut self, victim: usize, left: &str) -> bool {
        while self.count(left).await > 0 {
            if self.at_work().await.is_none() {
                continue;
            }
            self.running
                .iter()
                .for_each(|replica| replica.process.freeze());
            let frozen = self.at_work().await;
            self.running[1 - victim].process.thaw();
            // What the other one was at is over soon; what the victim was at
            // stays as it is.
            let begun = Instant::now();
            while frozen.is_some() && self.at_work().await == frozen {
                if begun.elapsed() > HELD {
                    self.replace(victim).await;
                    return true;
                }
            }
            self.running[victim].process.thaw();
        }
        false
    }

    /// Who holds loans, and since when.
    async fn at_work(&self) -> Option<(i32, String)> {
        sqlx::query_as(
            "select a.pid, a.xact_start::text from pg_locks l join pg_stat_activity a using (pid)
             where l.relation = 'loan'::regclass and l.granted
               and l.mode in ('RowShareLock', 'RowExclusiveLock')
               and a.datname = current_database() limit 1",
        )
        .fetch_optional(&self.database.pool)
        .await
        .unwrap()
    }

    async fn replace(&mut self, place: usize) {
        self.running[place].process.kill();
        self.logs.push_str(&self.running[place].process.log());
        let fresh = self.start(place).await;
        self.running[place] = fresh;
    }

    async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }
}

/// Many books, learnt of at once.
async fn books(desk: &Desk, count: usize) {
    let projection = CatalogProjection { channel: None };
    let events: Vec<_> = (0..count)
        .map(|number| Item {
            barcode: format!("3{number:05}"),
            revision: 1,
            ..book(&desk.stacks)
        })
        .map(|item| event_of(&ItemChanged { item: Some(item) }))
        .collect();
    let mut connection = desk.database.pool.acquire().await.unwrap();
    projection
        .apply_all(&mut connection, 0, &events)
        .await
        .unwrap();
}

/// Lends everything, a day's worth on each day.
async fn lend_all(desk: &Desk) {
    for day in 0..usize::try_from(DAYS).unwrap() {
        desk.wait_until(&format!("2026-09-0{}T11:00:00", day + 1));
        let mut crowd = JoinSet::new();
        for desk_number in 0..10 {
            let mut loans = desk.loans();
            let lending: Vec<CheckOutRequest> = (0..A_DAY)
                .filter(|number| number % 10 == desk_number)
                .map(|number| {
                    let barcode = format!("3{:05}", day * A_DAY + number);
                    desk.lending(&barcode, &format!("S{}", number % PATRONS))
                })
                .collect();
            crowd.spawn(async move {
                for request in lending {
                    loans.check_out(request).await.unwrap();
                }
            });
        }
        crowd.join_all().await;
    }
}

async fn told<M: prost::Name + Default>(pool: &PgPool) -> Vec<M> {
    let payloads: Vec<Vec<u8>> =
        sqlx::query_scalar("select payload from outbox where type = $1 order by position")
            .bind(M::full_name())
            .fetch_all(pool)
            .await
            .unwrap();
    let read = |payload: &Vec<u8>| M::decode(payload.as_slice()).unwrap();
    payloads.iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_are_killed_at_work_age_each_loan_once() {
    let desk = Desk::open().await;
    let total = A_DAY * usize::try_from(DAYS).unwrap();
    books(&desk, total).await;
    let mut patrons = Vec::new();
    for number in 0..PATRONS {
        patrons.push(desk.student(&format!("S{number}")).await.patron_id);
    }
    lend_all(&desk).await;
    let Desk {
        database,
        keys,
        running,
        ..
    } = desk;
    running.stop().await;

    let mut replicas = Replicas {
        keys,
        database,
        running: Vec::new(),
        logs: String::new(),
        clock: at("2026-09-14T08:00:00"),
    };
    for place in 0..2 {
        let replica = replicas.start(place).await;
        replicas.running.push(replica);
    }
    let mut killed = 0;
    for (first, waiting) in [
        // Due at the end of 15 September and the days after, lost 28 days later.
        ("2026-09-16T08:00:00", "overdue_since is null and due_at"),
        ("2026-10-14T08:00:00", "loss_id is null and lost_due_at"),
    ] {
        for day in 0..DAYS {
            let clock = at(first) + jiff::SignedDuration::from_hours(24 * i64::from(day));
            replicas.wait_until(clock).await;
            let left = format!("select count(*) from loan where {waiting} < '{clock}'");
            let victim = usize::from(day % 2 == 0);
            killed += usize::from(replicas.kill_one_at_work(victim, &left).await);
            eventually(
                "the day's loans are aged",
                Duration::from_secs(60),
                async || (replicas.count(&left).await == 0).then_some(()),
            )
            .await;
        }
    }
    assert!(killed >= 3, "only {killed} were caught at work");

    let pool = &replicas.database.pool;
    let (mut overdue, mut lost) = (HashMap::new(), HashMap::new());
    for changed in told::<LoanChanged>(pool).await {
        let loan = changed.loan.unwrap();
        if loan.aged_to_lost_at.is_some() {
            *lost.entry(loan.id).or_insert(0) += 1;
        } else if loan.overdue_since.is_some() {
            *overdue.entry(loan.id).or_insert(0) += 1;
        }
    }
    let mut losses = HashMap::new();
    for loss in told::<ItemAgedToLost>(pool).await {
        *losses.entry(loss.loan_id).or_insert(0) += 1;
    }
    for (what, counts) in [("overdue", &overdue), ("lost", &lost), ("losses", &losses)] {
        assert_eq!(counts.len(), total, "{what}");
        assert!(
            counts.values().all(|count| *count == 1),
            "{what}: each once"
        );
    }
    let availability = told::<ItemAvailabilityChanged>(pool).await.len();
    assert_eq!(availability, 2 * total, "lent and lost");
    let wrong =
        "select count(*) from patron_circulation p where (open_loans, overdue_loans, lost_loans)
         <> (select count(*), count(*) filter (where loss_id is null), count(loss_id)
             from loan where patron_id = p.patron_id)";
    assert_eq!(replicas.count(wrong).await, 0);
    let history = "select count(*) from loan_action where action = 6";
    assert_eq!(replicas.count(history).await, i64::try_from(total).unwrap());
    let uneven = "select count(*) from loan join item_circulation item using (item_id)
         where (loan.revision, item.revision, item.status) <> (3, 2, 3)";
    assert_eq!(replicas.count(uneven).await, 0);

    for replica in &replicas.running {
        replicas.logs.push_str(&replica.process.log());
    }
    assert!(
        replicas.logs.contains("aged"),
        "the replicas log what they do"
    );
    assert!(
        !patrons.iter().any(|patron| replicas.logs.contains(patron)),
        "but not whose it was"
    );
}
