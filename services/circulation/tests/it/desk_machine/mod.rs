//! Any sequence of desk actions leaves items, loans, queues, counters and
//! events as a simple model of the desk has them. `CARREL_SEQUENCES` says how
//! many sequences to try, and `CARREL_SEED` (a number) which.

mod action;
mod asking;
mod audit;
mod lending;
mod model;
mod world;

use std::time::{Duration, Instant};

use carrel_proto::circulation::v1::{BlockedActions, PatronLimits};
use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::desk::Desk;
use action::{Action, action};
use audit::{Verdict, audit};
use model::{MOST_LOANS, Model};
use world::World;

const SEQUENCES: u32 = 120;
const LONGEST: usize = 25;
/// The short run is the same each time; a long one draws its seed.
const SEED: u64 = 7;
/// Ageing runs by itself as well; what it holds, a run that is asked for skips.
const PATIENCE: Duration = Duration::from_secs(10);

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().expect("a number"))
}

#[test]
fn any_sequence_at_the_desk_leaves_everything_as_the_model_has_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (desk, north) = runtime.block_on(open());
    let sequences = number("CARREL_SEQUENCES");
    let drawn = sequences.map(|_| jiff::Timestamp::now().as_nanosecond() as u64);
    let seed = number("CARREL_SEED").or(drawn).unwrap_or(SEED);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: sequences.map_or(SEQUENCES, |count| count as u32),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let sequences = config.cases;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let begun = Instant::now();
    let outcome = TestRunner::new_with_rng(config, rng).run(
        &vec(action(), 1..=LONGEST),
        |actions: Vec<Action>| {
            let played = runtime.block_on(play(&desk, &north, &actions));
            played.map_err(TestCaseError::fail)
        },
    );
    if let Err(failure) = outcome {
        panic!("CARREL_SEED={seed}: {failure}");
    }
    println!(
        "{sequences} sequences in {:?}, seed {seed}",
        begun.elapsed()
    );
}

async fn open() -> (Desk, String) {
    let desk = Desk::open().await;
    let north = desk.north_point().await;
    desk.limits(PatronLimits {
        patron_group: "student".into(),
        max_loans: MOST_LOANS as i32,
        max_loans_blocks: Some(BlockedActions {
            borrowing: true,
            ..Default::default()
        }),
        ..Default::default()
    })
    .await;
    (desk, north)
}

/// Plays a sequence in a world of its own.
async fn play(desk: &Desk, north: &str, actions: &[Action]) -> Verdict {
    let (mut world, mut model) = (World::furnish(desk, north).await, Model::new());
    for (step, action) in actions.iter().enumerate() {
        let names_loan = matches!(action, Action::Note { .. });
        if names_loan && model.loans.is_empty()
            || action.request().is_some() && model.requests.is_empty()
        {
            continue;
        }
        one(&mut world, &mut model, action)
            .await
            .map_err(|wrong| format!("step {} ({action:?}): {wrong}", step + 1))?;
    }
    Ok(())
}

async fn one(world: &mut World<'_>, model: &mut Model, action: &Action) -> Verdict {
    let clock = world.desk.running.clock();
    if let Action::Wait { days } = action {
        clock.set(Action::days_after(clock.now(), *days)).unwrap();
    }
    let now = clock.now();
    let mut expected = model.act(action, now).map_err(|reasons| {
        let reasons = reasons.into_iter().map(str::to_owned);
        reasons.collect::<Vec<String>>()
    });
    let mut done = world.act(action, now).await;
    for outcome in [&mut expected, &mut done] {
        if let Err(reasons) = outcome {
            reasons.sort_unstable();
        }
    }
    if done != expected {
        return Err(format!("the desk answers {done:?}, expected {expected:?}"));
    }
    // Copies to be fetched for requests that are closed are passed on by
    // themselves.
    let before = model.copies.clone();
    model.pass_on(now);
    let settles = model.copies != before || matches!(action, Action::Wait { .. });
    let begun = Instant::now();
    loop {
        if settles {
            world.age().await;
        }
        let verdict = audit(world, model).await;
        if verdict.is_ok() || !settles || begun.elapsed() > PATIENCE {
            return verdict;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
