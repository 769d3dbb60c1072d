//! `carrel bench catch-up`: circulation is stopped while catalog and patrons
//! change everything they have. On its return it takes the events that queued
//! up; afterwards, while changes go on, each is followed to circulation.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use carrel_proto::catalog::v1::item_service_client::ItemServiceClient;
use carrel_proto::catalog::v1::{GetItemByBarcodeRequest, Item, UpdateItemRequest};
use carrel_proto::events::v1::GetHeadRequest;
use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use clap::Args;
use serde::Serialize;
use sqlx::{ConnectOptions as _, PgConnection};
use tonic::Status;
use uuid::Uuid;

use super::library::Library;
use super::measure::{percentile, round};
use super::{Bench, BenchArguments, interrupted, on_suite};
use crate::clients::request_id;
use crate::connect::{Authorized, explain};

/// The feeds whose events queue up.
const FEEDS: [&str; 2] = ["catalog", "patrons"];
/// Between two looks at how far circulation has come.
const LOOK: Duration = Duration::from_millis(5);
/// Between two looks at whether a change has arrived.
const CLOSE_LOOK: Duration = Duration::from_millis(1);
/// How long circulation may take.
const DEADLINE: Duration = Duration::from_secs(300);
/// Clients that change items all the time while the lag is measured.
const CHANGERS: u32 = 4;

/// How much, and for how long.
#[derive(Debug, Args)]
pub struct CatchUpArguments {
    #[command(flatten)]
    bench: BenchArguments,

    /// Events that queue up in catalog's feed; the readers of as many copies give some more
    #[arg(long, default_value_t = 20_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    events: u32,

    /// Times that circulation is stopped; the outcome is the slowest
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// How long the lag is measured afterwards
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

/// The outcome.
#[derive(Debug, Serialize)]
struct Outcome {
    name: &'static str,
    /// Of the slowest round: from circulation's readiness until it is level
    /// with every feed.
    events: i64,
    seconds: f64,
    per_second: f64,
    lag: Lag,
    server: String,
    rounds: Vec<Round>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Round {
    events: i64,
    seconds: f64,
    per_second: f64,
}

/// From the answer to a change until circulation knows it, while others go on
/// changing things.
#[derive(Debug, Serialize)]
struct Lag {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// Changes that were followed.
    followed: usize,
    /// Changes a second meanwhile.
    changes_per_second: f64,
}

/// Measures, and prints the outcome.
pub async fn catch_up(arguments: CatchUpArguments) -> anyhow::Result<ExitCode> {
    let bench = &arguments.bench;
    bench.say("Starting a durable suite, and filling a library …");
    let Some(outcome) = on_suite(bench, async |bench| measure(&arguments, bench).await).await?
    else {
        return Ok(interrupted());
    };
    if bench.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        let Outcome { lag, .. } = &outcome;
        println!(
            "\n{} events in {:.2} s: {:.0} a second (the slowest of {} rounds)",
            outcome.events,
            outcome.seconds,
            outcome.per_second,
            outcome.rounds.len()
        );
        println!(
            "Lag at {:.0} changes a second, in ms: p50 {:.1}, p95 {:.1}, p99 {:.1}, most {:.1}",
            lag.changes_per_second, lag.p50_ms, lag.p95_ms, lag.p99_ms, lag.max_ms
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(arguments: &CatchUpArguments, bench: &mut Bench) -> anyhow::Result<Outcome> {
    let server = bench.durable_server().await?;
    let library = Library::load(bench, arguments.events).await?;
    let mut rounds = Vec::new();
    for year in 1..=arguments.rounds {
        let round = queue_and_catch_up(bench, &library, year).await?;
        arguments.bench.say(&format!(
            "Round {year}: {} events in {:.2} s, {:.0} a second",
            round.events, round.seconds, round.per_second
        ));
        rounds.push(round);
    }
    let slowest = rounds
        .iter()
        .copied()
        .min_by(|one, other| one.per_second.total_cmp(&other.per_second));
    let Round {
        events,
        seconds,
        per_second,
    } = slowest.context("there was no round")?;
    let lag = lag(
        bench,
        &library,
        Duration::from_secs(arguments.seconds.into()),
    )
    .await?;
    Ok(Outcome {
        name: "catch-up",
        events,
        seconds,
        per_second,
        lag,
        server,
        rounds,
    })
}

async fn queue_and_catch_up(
    bench: &mut Bench,
    library: &Library,
    year: u32,
) -> anyhow::Result<Round> {
    bench.level().await?;
    bench.local.stop_service("circulation").await?;
    library.change(bench, year).await?;
    let mut connection = bench.database("circulation")?.connect().await?;
    let mut heads = Vec::new();
    let mut queued = 0;
    for feed in FEEDS {
        let head = head(bench, feed).await?;
        queued += head - reached(&mut connection, feed).await?;
        heads.push((feed, head));
    }
    // Changed titles are told too, but circulation does not ask for them: they
    // only move its cursor, and are not counted.
    let events = i64::from(library.items) + i64::from(library.patrons);
    ensure!(
        queued >= events,
        "only {queued} events queued up, not {events}"
    );

    bench.local.start_service("circulation").await?;
    let ready = Instant::now();
    for (feed, head) in heads {
        while reached(&mut connection, feed).await? < head {
            if ready.elapsed() > DEADLINE {
                bail!("circulation is not level with {feed} after {DEADLINE:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    let seconds = ready.elapsed().as_secs_f64();
    Ok(Round {
        events,
        seconds: round(seconds),
        per_second: round(events as f64 / seconds),
    })
}

/// The number of a feed's newest event, once all of them have theirs.
async fn head(bench: &Bench, feed: &str) -> anyhow::Result<i64> {
    let mut connection = bench.database(feed)?.connect().await?;
    let asked = Instant::now();
    let unnumbered = "select exists (select from outbox where number is null)";
    while sqlx::query_scalar(unnumbered)
        .fetch_one(&mut connection)
        .await?
    {
        if asked.elapsed() > DEADLINE {
            bail!("events of {feed} have no number after {DEADLINE:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
    let mut feed = EventFeedServiceClient::new(bench.suite.channel(feed)?);
    let head = feed
        .get_head(GetHeadRequest {})
        .await
        .map_err(|status| explain(&status))?;
    Ok(head
        .into_inner()
        .head
        .context("a feed without a head")?
        .number)
}

/// How far circulation has come in a feed.
async fn reached(connection: &mut PgConnection, feed: &str) -> anyhow::Result<i64> {
    let number = sqlx::query_scalar("select number from feed_cursor where feed = $1");
    Ok(number.bind(feed).fetch_one(connection).await?)
}

/// Follows changes one by one while others are made.
async fn lag(bench: &Bench, library: &Library, time: Duration) -> anyhow::Result<Lag> {
    let catalog = ItemServiceClient::new(bench.suite.channel("catalog")?);
    let mut connection = bench.database("circulation")?.connect().await?;
    let ended = Arc::new(AtomicBool::new(false));
    let changes = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut changers = Vec::new();
    for number in 1..=CHANGERS {
        let (mut catalog, ended, changes) =
            (catalog.clone(), Arc::clone(&ended), Arc::clone(&changes));
        let mut item = find_item(&mut catalog, library, number % library.items).await?;
        changers.push(tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                item = change(&mut catalog, item).await?;
                changes.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), Status>(())
        }));
    }

    let mut catalog = catalog;
    let mut item = find_item(&mut catalog, library, 0).await?;
    let mut lags = Vec::new();
    while begun.elapsed() < time {
        item = change(&mut catalog, item)
            .await
            .map_err(|status| explain(&status))?;
        let answered = Instant::now();
        let id: Uuid = item.id.parse()?;
        while known_revision(&mut connection, id).await? < item.revision {
            if answered.elapsed() > DEADLINE {
                bail!("a change did not reach circulation within {DEADLINE:?}");
            }
            tokio::time::sleep(CLOSE_LOOK).await;
        }
        lags.push(answered.elapsed());
    }
    ended.store(true, Ordering::Relaxed);
    for changer in changers {
        changer.await?.map_err(|status| explain(&status))?;
    }
    lags.sort_unstable();
    let within = |share: f64| round(percentile(&lags, share).as_secs_f64() * 1000.0);
    let others = changes.load(Ordering::Relaxed) as f64;
    Ok(Lag {
        p50_ms: within(0.50),
        p95_ms: within(0.95),
        p99_ms: within(0.99),
        max_ms: within(1.0),
        followed: lags.len(),
        changes_per_second: round((others + lags.len() as f64) / begun.elapsed().as_secs_f64()),
    })
}

async fn find_item(
    catalog: &mut ItemServiceClient<Authorized>,
    library: &Library,
    number: u32,
) -> anyhow::Result<Item> {
    let barcode = library.item_barcode(number);
    let answer = catalog
        .get_item_by_barcode(GetItemByBarcodeRequest { barcode })
        .await;
    let item = answer.map_err(|status| explain(&status))?.into_inner().item;
    item.context("the answer has no item")
}

/// Gives an item another call number; returns it as changed.
async fn change(catalog: &mut ItemServiceClient<Authorized>, item: Item) -> Result<Item, Status> {
    let request = UpdateItemRequest {
        item: Some(Item {
            call_number: format!("QA {}", item.revision),
            etag: String::new(),
            ..item
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["call_number".into()],
        }),
        request_id: request_id(),
    };
    let changed = catalog.update_item(request).await?.into_inner().item;
    changed.ok_or_else(|| Status::internal("the answer has no item"))
}

async fn known_revision(connection: &mut PgConnection, item_id: Uuid) -> anyhow::Result<i64> {
    let revision = sqlx::query_scalar("select revision from item_projection where item_id = $1");
    Ok(revision.bind(item_id).fetch_one(connection).await?)
}
