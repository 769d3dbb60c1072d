//! `carrel bench checkout`: the real CheckOut over gRPC against the floor,
//! turn by turn in one run, so that what else the machine does hits both.
//!
//! Each client has a connection of its own, as each desk has, and as each of
//! pgbench's clients has one to the server; each call brings a token and a
//! request id. The clients run on threads of their own in this process and
//! compete with the service for the machine, as pgbench does with the server.
//! The rest of the suite runs too: catalog follows every loan meanwhile.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use carrel_proto::circulation::v1::loan_service_client::LoanServiceClient;
use carrel_proto::circulation::v1::{CheckInRequest, CheckOutRequest};
use clap::Args;
use serde::Serialize;
use tokio::runtime::Runtime;
use tonic::Status;

use super::floor::Floor;
use super::library::Library;
use super::measure::{Answered, Figures, round};
use super::{Bench, BenchArguments, interrupted, on_suite};
use crate::clients::request_id;
use crate::connect::{Authorized, Suite, explain};

/// How the service is warmed up before the first round: connections, prepared
/// statements, rules read.
const WARM_UP: Duration = Duration::from_secs(1);

/// What is measured, and for how long.
#[derive(Debug, Args)]
pub struct CheckOutArguments {
    #[command(flatten)]
    bench: BenchArguments,

    /// Desks that lend at once
    #[arg(long, default_value_t = 32, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=150))]
    clients: u32,

    /// How long a round lends, for the service and for the floor each
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,

    /// Rounds; the outcome is their median
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Copies in the library; a round ends early where all are out
    #[arg(long, default_value_t = 20_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    items: u32,
}

/// The outcome.
#[derive(Debug, Serialize)]
struct Outcome {
    name: &'static str,
    /// Check-outs a second, the service's by the floor's.
    ratio: f64,
    service: Figures,
    floor: Figures,
    /// Calls of the service's that were answered with an error, in all rounds.
    /// They count for nothing else.
    refused: u64,
    refused_for: BTreeMap<String, u64>,
    clients: u32,
    seconds: u32,
    /// Processors of the machine.
    processors: usize,
    server: String,
    rounds: Vec<Round>,
}

#[derive(Debug, Serialize)]
struct Round {
    ratio: f64,
    service: Figures,
    floor: Figures,
}

/// Measures, and prints the outcome.
pub async fn check_out(arguments: CheckOutArguments) -> anyhow::Result<ExitCode> {
    let bench = &arguments.bench;
    bench.say("Starting a durable suite, and filling a library …");
    // Threads of their own, so that clients do not wait in the services' queues.
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("desk")
        .build()?;
    let measured = on_suite(bench, async |bench| {
        measure(&arguments, bench, &threads).await
    })
    .await;
    threads.shutdown_background();
    let Some(outcome) = measured? else {
        return Ok(interrupted());
    };
    if bench.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print(&outcome);
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(
    arguments: &CheckOutArguments,
    bench: &Bench,
    threads: &Runtime,
) -> anyhow::Result<Outcome> {
    let say = |text: &str| arguments.bench.say(text);
    let floor = Floor::find(bench, arguments.clients, arguments.seconds)?;
    let server = bench.durable_server().await?;
    let library = Arc::new(Library::load(bench, arguments.items).await?);
    say(&format!(
        "{} copies, {} readers. Warming up …",
        library.items, library.patrons
    ));
    let desks = Desks::open(bench, library, arguments.clients, threads)?;
    let warm = desks.lend(threads, WARM_UP).await?;
    desks.take_back(threads, warm.lent).await?;

    let mut rounds = Vec::new();
    let mut refused_for = BTreeMap::new();
    for number in 1..=arguments.rounds {
        floor.prepare(bench).await?;
        begin_round(bench).await?;
        let alone = figures(&floor.measure().await?)?;

        begin_round(bench).await?;
        let shift = desks
            .lend(threads, Duration::from_secs(arguments.seconds.into()))
            .await?;
        let service = figures(&shift.calls)?;
        for (reason, count) in shift.refused_for {
            *refused_for.entry(reason).or_default() += count;
        }
        desks.take_back(threads, shift.lent).await?;

        let ratio = round(service.per_second / alone.per_second);
        say(&format!(
            "Round {number}: floor {:.0}/s, service {:.0}/s, ratio {ratio:.2}",
            alone.per_second, service.per_second
        ));
        rounds.push(Round {
            ratio,
            service,
            floor: alone,
        });
    }
    let median =
        |of: fn(&Round) -> Figures| Figures::median(&rounds.iter().map(of).collect::<Vec<_>>());
    let (service, floor) = (median(|round| round.service), median(|round| round.floor));
    Ok(Outcome {
        name: "checkout",
        ratio: round(service.per_second / floor.per_second),
        service,
        floor,
        refused: refused_for.values().sum(),
        refused_for,
        clients: arguments.clients,
        seconds: arguments.seconds,
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        server,
        rounds,
    })
}

fn figures(calls: &[Answered]) -> anyhow::Result<Figures> {
    Figures::of(calls).context("nothing was lent in a whole round")
}

/// Both sides begin with nothing left over from the other: no events under
/// way, no pages to be written for the last checkpoint.
async fn begin_round(bench: &Bench) -> anyhow::Result<()> {
    bench.level().await?;
    let mut connection = bench.administer("circulation").await?;
    sqlx::query("checkpoint").execute(&mut connection).await?;
    Ok(())
}

/// The desks and the library they lend from.
struct Desks {
    loans: Vec<LoanServiceClient<Authorized>>,
    library: Arc<Library>,
}

/// What a desk did, or all of them.
#[derive(Default)]
struct Shift {
    calls: Vec<Answered>,
    lent: Vec<u32>,
    refused_for: BTreeMap<String, u64>,
}

impl Desks {
    fn open(
        bench: &Bench,
        library: Arc<Library>,
        clients: u32,
        threads: &Runtime,
    ) -> anyhow::Result<Self> {
        // A connection is driven by the threads it was prepared on.
        let _on_threads = threads.enter();
        let connect = |_| {
            // Connections of one Suite are shared; each desk has its own.
            let suite: Suite = bench.suite.reconnected()?;
            Ok(LoanServiceClient::new(suite.channel("circulation")?))
        };
        Ok(Self {
            loans: (0..clients).map(connect).collect::<anyhow::Result<_>>()?,
            library,
        })
    }

    /// Lends for so long, or until everything is out.
    async fn lend(&self, threads: &Runtime, time: Duration) -> anyhow::Result<Shift> {
        let origin = Instant::now();
        let next = Arc::new(AtomicU32::new(0));
        let all_out = Arc::new(AtomicBool::new(false));
        let desks: Vec<_> = self
            .loans
            .iter()
            .map(|loans| {
                let (loans, library) = (loans.clone(), Arc::clone(&self.library));
                let (next, all_out) = (Arc::clone(&next), Arc::clone(&all_out));
                threads.spawn(async move {
                    let mut shift = Shift::default();
                    while origin.elapsed() < time && !all_out.load(Ordering::Relaxed) {
                        let item = next.fetch_add(1, Ordering::Relaxed);
                        if item >= library.items {
                            all_out.store(true, Ordering::Relaxed);
                            break;
                        }
                        shift.lend(&loans, &library, item, origin).await;
                    }
                    shift
                })
            })
            .collect();
        let mut whole = Shift::default();
        for desk in desks {
            let shift = desk.await?;
            whole.calls.extend(shift.calls);
            whole.lent.extend(shift.lent);
            for (reason, count) in shift.refused_for {
                *whole.refused_for.entry(reason).or_default() += count;
            }
        }
        Ok(whole)
    }

    /// Takes everything back, which nobody measures.
    async fn take_back(&self, threads: &Runtime, lent: Vec<u32>) -> anyhow::Result<()> {
        let piles = self.loans.iter().enumerate().map(|(desk, loans)| {
            let pile: Vec<u32> = lent
                .iter()
                .copied()
                .skip(desk)
                .step_by(self.loans.len())
                .collect();
            let (mut loans, library) = (loans.clone(), Arc::clone(&self.library));
            threads.spawn(async move {
                for item in pile {
                    loans
                        .check_in(CheckInRequest {
                            item_barcode: library.item_barcode(item),
                            service_point_id: library.service_point_id.clone(),
                            request_id: request_id(),
                            ..Default::default()
                        })
                        .await?;
                }
                Ok::<(), Status>(())
            })
        });
        let piles: Vec<_> = piles.collect();
        for pile in piles {
            pile.await?.map_err(|status| explain(&status))?;
        }
        Ok(())
    }
}

impl Shift {
    async fn lend(
        &mut self,
        loans: &LoanServiceClient<Authorized>,
        library: &Library,
        item: u32,
        origin: Instant,
    ) {
        let request = CheckOutRequest {
            item_barcode: library.item_barcode(item),
            patron_barcode: library.reader_of(item),
            service_point_id: library.service_point_id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        let mut loans = loans.clone();
        let begun = Instant::now();
        let answer = loans.check_out(request).await;
        let ended = Instant::now();
        match answer {
            Ok(_) => {
                self.lent.push(item);
                self.calls.push(Answered {
                    at: ended - origin,
                    took: ended - begun,
                });
            }
            Err(status) => {
                let reason = carrel_runtime::read::reason(&status);
                let reason = reason.unwrap_or_else(|| format!("{:?}", status.code()));
                *self.refused_for.entry(reason).or_default() += 1;
            }
        }
    }
}

fn print(outcome: &Outcome) {
    println!(
        "\n{} clients, {} rounds of {} s on {} processors; {}, fsync and synchronous_commit on\n",
        outcome.clients,
        outcome.rounds.len(),
        outcome.seconds,
        outcome.processors,
        outcome.server
    );
    println!(
        "{:<10}{:>12}{:>12}{:>12}{:>12}",
        "", "per second", "p50 ms", "p95 ms", "p99 ms"
    );
    for (name, figures) in [("floor", &outcome.floor), ("service", &outcome.service)] {
        println!(
            "{name:<10}{:>12.0}{:>12.1}{:>12.1}{:>12.1}",
            figures.per_second, figures.p50_ms, figures.p95_ms, figures.p99_ms
        );
    }
    println!("\nratio {:.2}, refused {}", outcome.ratio, outcome.refused);
    for (reason, count) in &outcome.refused_for {
        println!("  {reason}: {count}");
    }
}
