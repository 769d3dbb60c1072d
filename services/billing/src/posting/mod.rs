//! The accounts-receivable procedure: how a charge reaches the student account once, and its credit once.
//!
//! 0. [`trust`]: after a restore, what the books may have forgotten is looked up before it is posted.
//! 1. [`lose_expired`]: what was handed over by a worker that never heard an answer is unknown.
//! 2. [`select_ready`]: charges that are ready, by the [`policy`], get a posting with where they go; so do credits.
//! 3. [`look_up_unknown`]: the student-information system is asked for what is unknown. Nothing unknown is sent again
//!    before a look-up finds nothing at a time when it would be there.
//! 4. [`submit_pending`]: each is marked as handed over and committed, then sent, then its answer recorded.
//! 5. [`batch`]: where postings go as files, in place of 3 and 4.
//! 6. [`work`]: what waits for people.
//! 7. [`settlement`]: what was paid there; [`reconciliation`]: ledger, postings and student accounts compared.
//!
//! Any number of workers and replicas may do this at once. A posting changes only under its account's row lock.

pub mod batch;
mod exchange;
pub mod model;
pub mod policy;
pub mod reconciliation;
pub mod settlement;
pub(crate) mod store;
mod trust;
pub mod work;
pub mod worker;

use batch::Building;
use carrel_database::{Claim, RequestKey, claim, transact};
use exchange::Recorded;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::account::model::{Account, charge_key};
use crate::columns::money;
use crate::error::Error;
use crate::route::model::{Destination, Routing};
use crate::{Actor, Billing, Sis, account, message, route};
use model::{Moment, Posting, PostingState, posting_id};
use policy::model::Policy;
use store::Ready;

/// Charges that are selected in one transaction.
const SELECTED: i64 = 200;
/// Postings that one lane of a worker hands over at once.
const AT_ONCE: i64 = 8;

/// One exchange with the student-information system, by the machine's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// "submit" or "look-up".
    pub kind: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When its outcome was known.
    pub ended_at: Option<Timestamp>,
    /// Its outcome.
    pub outcome: String,
    /// More about it.
    pub detail: String,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Run {
    /// Postings made.
    pub created: i64,
    /// Postings acknowledged, at once or by a look-up.
    pub acknowledged: i64,
    /// Postings rejected.
    pub rejected: i64,
    /// Postings that stay unknown.
    pub unknown: i64,
    /// Postings without a route.
    pub unrouted: i64,
    /// Charges found paid, in whole or in part.
    pub settled: i64,
    /// Postings that certainly did not get through: the system is not there.
    pub not_sent: i64,
    /// Postings that were put into batches.
    pub batched: i64,
}

impl Run {
    fn count(&mut self, state: PostingState) {
        match state {
            PostingState::Acknowledged | PostingState::Settled => self.acknowledged += 1,
            PostingState::Rejected => self.rejected += 1,
            PostingState::Unknown => self.unknown += 1,
            PostingState::Pending => self.not_sent += 1,
            PostingState::Submitted | PostingState::Unrouted | PostingState::Cancelled => {}
        }
    }
}

/// Works the queue once for a caller, and asks what was paid. The same request
/// again does nothing once it was done; one that failed may be repeated. Two at
/// the same time both work, which posts nothing twice.
///
/// # Errors
/// [`Error::SisNotConfigured`], the database's.
pub async fn run_for(billing: &Billing, key: &RequestKey) -> Result<Run, Error> {
    let now = billing.clock.now();
    // Not kept yet: only what is done is.
    let mut look = billing.database.pool().begin().await?;
    let claimed = claim(&mut look, key, &[], now).await??;
    look.rollback().await?;
    if claimed != Claim::New {
        return Ok(Run::default());
    }
    let mut run = work_queue(billing).await?;
    if billing.sis.is_some() {
        run.settled = settlement::ask_what_was_paid(billing).await?;
    }
    transact!(billing.database, "claim_posting_run", |transaction| {
        Ok::<_, Error>(claim(transaction, key, &[], now).await??)
    })?;
    Ok(run)
}

/// Works the queue once.
///
/// # Errors
/// [`Error::SisNotConfigured`], the database's. That the student-information
/// system is not there is no error: its postings wait.
pub async fn work_queue(billing: &Billing) -> Result<Run, Error> {
    Ok(work_round(billing, Building::Now).await?.0)
}

/// Whether the student-information system answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answering {
    Yes,
    /// A whole batch brought no answer: the round ends, the next one waits.
    No,
}

/// Works the queue once, as far as the student-information system answers.
async fn work_round(billing: &Billing, building: Building) -> Result<(Run, Answering), Error> {
    let mut run = Run::default();
    if let Some(site) = billing.batches.as_deref() {
        batch::work(billing, site, building, &mut run).await?;
        return Ok((run, Answering::Yes));
    }
    let sis = billing.sis.as_deref().ok_or(Error::SisNotConfigured)?;
    trust::notice_restore(billing, sis.patience).await?;
    lose_expired(billing).await?;
    select_ready(billing, &mut run).await?;
    let mut answering = look_up_unknown(billing, sis, &mut run).await?;
    if answering == Answering::Yes {
        answering = submit_pending(billing, sis, &mut run).await?;
    }
    Ok((run, answering))
}

/// What was handed over and has no answer, since its worker died or was cut
/// off, is unknown.
async fn lose_expired(billing: &Billing) -> Result<(), Error> {
    loop {
        let at = billing.moment();
        let lost = transact!(billing.database, "lose_expired_postings", |transaction| {
            let expired =
                store::lock_due(transaction, PostingState::Submitted, at.machine, SELECTED).await?;
            let count = expired.len();
            let mut events = Vec::with_capacity(count);
            for mut posting in expired {
                if let Some(attempt_id) = posting.open_attempt_id {
                    let detail = "no answer was recorded";
                    store::end_attempt(transaction, attempt_id, "unknown", detail, at.machine)
                        .await?;
                }
                posting.lose("no answer was recorded", at)?;
                store::update_posting(transaction, &posting).await?;
                events.push(message::posting_changed(&posting, at.now));
            }
            carrel_outbox::append(transaction, &events).await?;
            Ok::<_, Error>(count)
        })?;
        if lost > 0 {
            billing.committed();
            tracing::warn!(
                postings = lost,
                "handed over without an answer; looking them up"
            );
        }
        if lost < SELECTED as usize {
            return Ok(());
        }
    }
}

/// Charges that are old enough and that the policy chooses, of patrons with a
/// student account, get a posting; credits of what is there get theirs at once.
async fn select_ready(billing: &Billing, run: &mut Run) -> Result<(), Error> {
    let mut after = None;
    loop {
        let at = billing.moment();
        let charged_before = at.now - billing.posting_after;
        let mut connection = billing.database.pool().acquire().await?;
        let policy = policy::store::find_policy(&mut connection).await?;
        let page = store::list_postable(&mut connection, charged_before, after, SELECTED).await?;
        let ids: Vec<Uuid> = page.iter().map(|(_, id)| *id).collect();
        // Looked at without a lock first: what the policy leaves is locked by nobody.
        let chosen = chosen(
            billing,
            &policy,
            store::list_ready(&mut connection, &ids).await?,
        )?;
        drop(connection);
        if !chosen.is_empty() {
            let ids: Vec<Uuid> = chosen.iter().map(|ready| ready.account_id).collect();
            make_postings(billing, &policy, &ids, at, run).await?;
        }
        if page.len() < SELECTED as usize {
            return Ok(());
        }
        after = page.last().copied();
    }
}

/// Those that nothing holds.
fn chosen(billing: &Billing, policy: &Policy, ready: Vec<Ready>) -> Result<Vec<Ready>, Error> {
    let mut chosen = Vec::with_capacity(ready.len());
    for ready in ready {
        let owed_here = money(ready.owed_here, &ready.currency)?;
        if policy::held_because(billing, policy, &ready, owed_here).is_none() {
            chosen.push(ready);
        }
    }
    Ok(chosen)
}

async fn make_postings(
    billing: &Billing,
    policy: &Policy,
    ids: &[Uuid],
    at: Moment,
    run: &mut Run,
) -> Result<(), Error> {
    let made = transact!(billing.database, "select_ready_charges", |transaction| {
        let ids = store::lock_accounts(transaction, ids).await?;
        let ready = chosen(billing, policy, store::list_ready(transaction, &ids).await?)?;
        let routing = route::routing(transaction).await?;
        let mut postings = Vec::with_capacity(ready.len());
        for ready in &ready {
            let Some(posting) = posting_of(transaction, billing, ready, &routing, at).await? else {
                continue;
            };
            store::insert_posting(transaction, &posting).await?;
            postings.push(posting);
        }
        let events: Vec<_> = postings
            .iter()
            .map(|posting| message::posting_changed(posting, at.now))
            .collect();
        carrel_outbox::append(transaction, &events).await?;
        Ok::<_, Error>(postings)
    })?;
    let unrouted = |posting: &&Posting| posting.state == PostingState::Unrouted;
    run.created += made.len() as i64;
    run.unrouted += made.iter().filter(unrouted).count() as i64;
    if !made.is_empty() {
        billing.committed();
    }
    Ok(())
}

/// The posting of a charge that is ready, by its route and period; or of a
/// credit, which goes where its original went.
async fn posting_of(
    connection: &mut PgConnection,
    billing: &Billing,
    ready: &Ready,
    routing: &Routing,
    at: Moment,
) -> Result<Option<Posting>, Error> {
    let amount = money(ready.owed_here, &ready.currency)?;
    let sequence = i32::try_from(ready.posting_count)
        .map_err(|_| Error::OutOfBalance("a charge has two thousand million postings"))?;
    let key = charge_key(ready.account_id, ready.source_id, ready.kind);
    let id = posting_id(key, sequence);
    let (student_id, destination) = if amount.is_negative() {
        let original = (
            &ready.original_student_id,
            &ready.original_destination_id,
            &ready.original_period_id,
        );
        let (Some(student_id), Some(destination), Some(period)) = original else {
            return Err(Error::OutOfBalance(
                "a credit without anything to take back",
            ));
        };
        let destination = Destination {
            funding_destination_id: destination.clone(),
            academic_period_id: period.clone(),
        };
        (student_id, Ok(destination))
    } else {
        let Some(student_id) = &ready.student_id else {
            return Ok(None);
        };
        let college = ready.institution_code.as_deref().unwrap_or_default();
        let charged_on = store::charged_on(ready, &billing.zone);
        (
            student_id,
            routing.destination(college, ready.kind, charged_on),
        )
    };
    let reference = if sequence == 0 {
        ready.reference.clone()
    } else {
        account::draw_reference(connection, id, ready.account_id).await?
    };
    let (state, problem) = match &destination {
        Ok(_) => (PostingState::Pending, ""),
        Err(problem) => (PostingState::Unrouted, *problem),
    };
    let destination = destination.ok();
    Ok(Some(Posting {
        id,
        account_id: ready.account_id,
        sequence,
        reference,
        amount,
        state,
        reverses_posting_id: ready.original_id.filter(|_| amount.is_negative()),
        student_id: student_id.clone(),
        funding_destination_id: destination
            .as_ref()
            .map(|found| found.funding_destination_id.clone())
            .unwrap_or_default(),
        academic_period_id: destination
            .map(|found| found.academic_period_id)
            .unwrap_or_default(),
        chargeable_on: None,
        sis_charge_id: None,
        attempt_count: 0,
        open_attempt_id: None,
        leased_until: None,
        next_attempt_at: at.machine,
        absent_from: None,
        problem: problem.to_owned(),
        looked_up_epoch: None,
        settlement_basis: String::new(),
        created_at: at.now,
        updated_at: at.now,
    }))
}

/// Asks for each posting whose answer is lost and that is due as the round
/// begins: a look-up that takes long does not keep the round for ever.
async fn look_up_unknown(billing: &Billing, sis: &Sis, run: &mut Run) -> Result<Answering, Error> {
    let due_at = billing.moment().machine;
    loop {
        let now = billing.moment().machine;
        let claimed = transact!(billing.database, "claim_unknown_postings", |transaction| {
            let mut due =
                store::lock_due(transaction, PostingState::Unknown, due_at, AT_ONCE).await?;
            for posting in &mut due {
                // Others leave it alone while it is looked up.
                posting.next_attempt_at = now + sis.patience.deadline;
                store::update_posting(transaction, posting).await?;
            }
            Ok::<_, Error>(due)
        })?;
        let last = claimed.len() < AT_ONCE as usize;
        let answers = claimed
            .into_iter()
            .map(|posting| exchange::look_up(billing, sis, posting));
        let answering = exchange_all(answers, |state| match state {
            // Certainly not there: it is submitted in this same round.
            PostingState::Pending => {}
            state => run.count(state),
        })
        .await;
        if last || answering == Answering::No || billing.shutdown.is_cancelled() {
            return Ok(answering);
        }
    }
}

/// Hands over what is pending, and stops where the student-information system
/// turns out not to be there.
async fn submit_pending(billing: &Billing, sis: &Sis, run: &mut Run) -> Result<Answering, Error> {
    // While one lane waits for its slowest answer, the other goes on.
    let (mut first, mut second) = (Run::default(), Run::default());
    let (one, other) = futures::join!(
        submit_lane(billing, sis, &mut first),
        submit_lane(billing, sis, &mut second),
    );
    for lane in [first, second] {
        run.acknowledged += lane.acknowledged;
        run.rejected += lane.rejected;
        run.unknown += lane.unknown;
        run.not_sent += lane.not_sent;
    }
    match (one?, other?) {
        (Answering::Yes, Answering::Yes) => Ok(Answering::Yes),
        (Answering::No, _) | (_, Answering::No) => Ok(Answering::No),
    }
}

async fn submit_lane(billing: &Billing, sis: &Sis, run: &mut Run) -> Result<Answering, Error> {
    loop {
        let claimed = exchange::claim_pending(billing, sis, AT_ONCE).await?;
        let last = claimed.count < AT_ONCE as usize;
        let answers = claimed
            .handed_over
            .into_iter()
            .map(|handed_over| exchange::submit(billing, sis, handed_over));
        let mut answering = exchange_all(answers, |state| run.count(state)).await;
        if run.not_sent > 0 {
            answering = Answering::No;
        }
        if last || answering == Answering::No || billing.shutdown.is_cancelled() {
            return Ok(answering);
        }
    }
}

/// Does the exchanges of a batch at once and counts where they lead. An answer
/// that could not be recorded is lost, and so looked up when its lease ends; it
/// holds up no other posting.
async fn exchange_all<F>(
    exchanges: impl Iterator<Item = F>,
    mut count: impl FnMut(PostingState),
) -> Answering
where
    F: Future<Output = Result<Option<Recorded>, Error>>,
{
    let mut exchanges: FuturesUnordered<F> = exchanges.collect();
    let mut answering = if exchanges.is_empty() {
        Answering::Yes
    } else {
        Answering::No
    };
    while let Some(exchanged) = exchanges.next().await {
        match exchanged {
            Ok(Some(recorded)) => {
                count(recorded.state);
                if recorded.is_answered {
                    answering = Answering::Yes;
                }
            }
            // It had gone on without this answer.
            Ok(None) => answering = Answering::Yes,
            Err(error) => {
                tracing::error!(%error, "a posting's answer could not be recorded");
            }
        }
    }
    answering
}

/// Gives a posting that waits for a person another try. Where it goes, and how
/// much, is found anew; it is cancelled where nothing is left to post, or nobody
/// to post it to.
///
/// # Errors
/// [`Error::PostingNotFound`], [`Error::PostingNotWaiting`].
pub async fn retry(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
) -> Result<Posting, Error> {
    let at = billing.moment();
    let posting = transact!(billing.database, "retry_posting", |transaction| {
        if let Claim::Done(_) = claim(transaction, key, &[id], at.now).await?? {
            return store::find_posting(transaction, id)
                .await?
                .ok_or(Error::PostingNotFound);
        }
        let seen = store::find_posting(transaction, id)
            .await?
            .ok_or(Error::PostingNotFound)?;
        // The account's lock is the posting's; only then is it read for good.
        let account = account::lock(transaction, seen.account_id).await?;
        let mut posting = store::find_posting(transaction, id)
            .await?
            .ok_or(Error::PostingNotFound)?;
        let destination = if posting.amount.is_negative() {
            Ok(Destination {
                funding_destination_id: posting.funding_destination_id.clone(),
                academic_period_id: posting.academic_period_id.clone(),
            })
        } else {
            let college = account.institution_code.as_deref().unwrap_or_default();
            let charged_on = account.charged_at.to_zoned(billing.zone.clone()).date();
            route::routing(transaction)
                .await?
                .destination(college, account.kind, charged_on)
        };
        posting.retry(destination, at)?;
        posting.follow(account.owed_here()?, at.now)?;
        if posting.state != PostingState::Cancelled && !posting.amount.is_negative() {
            let student_id = store::find_student(transaction, account.patron_id).await?;
            posting.address_to(student_id, at.now)?;
        }
        store::update_posting(transaction, &posting).await?;
        let event = message::posting_changed(&posting, at.now);
        carrel_outbox::append(transaction, &actor.caused(vec![event])).await?;
        Ok(posting)
    })?;
    billing.committed();
    Ok(posting)
}

/// A posting with its attempts.
///
/// # Errors
/// [`Error::PostingNotFound`].
pub async fn get(billing: &Billing, id: Uuid) -> Result<(Posting, Vec<Attempt>), Error> {
    let mut connection = billing.database.pool().acquire().await?;
    let posting = store::find_posting(&mut connection, id)
        .await?
        .ok_or(Error::PostingNotFound)?;
    let attempts = store::list_attempts(&mut connection, id).await?;
    Ok((posting, attempts))
}

/// Lets the posting that waits here follow its account, which is locked: what
/// remains is posted, and nothing where nothing remains.
pub(crate) async fn follow_account(
    connection: &mut PgConnection,
    account: &Account,
    now: Timestamp,
) -> Result<Option<Posting>, Error> {
    let Some(mut posting) = store::find_waiting(connection, account.id).await? else {
        return Ok(None);
    };
    if !posting.follow(account.owed_here()?, now)? {
        return Ok(None);
    }
    store::update_posting(connection, &posting).await?;
    Ok(Some(posting))
}
