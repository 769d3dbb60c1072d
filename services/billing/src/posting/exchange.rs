//! One exchange with the student-information system: committed before, recorded after.

use carrel_database::transact;
use carrel_ids::{Reference, new_id};
use carrel_student_accounts::{
    Description, FindOutcome, PostOutcome, PostingLookup, Reversal, SisError, UnknownCause,
};
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::Attempt;
use super::model::{Posting, PostingState, back_off, without_student};
use super::{store, trust};
use crate::account::{self, Note};
use crate::error::{Error, is_away, sis_error_kind};
use crate::{Actor, Billing, Sis, message};

/// A posting that is committed as handed over, and must be sent before its
/// deadline or not at all.
pub(super) struct HandedOver {
    posting: Posting,
    attempt_id: Uuid,
    statement_text: String,
    original_reference: Option<String>,
    deadline: Instant,
}

/// Pending postings that one worker has taken.
pub(super) struct Claimed {
    /// Those to be sent.
    pub(super) handed_over: Vec<HandedOver>,
    /// How many there were, with those that turned out not to be sent.
    pub(super) count: usize,
}

/// What an exchange came to.
pub(super) struct Recorded {
    /// Where the posting stands now.
    pub(super) state: PostingState,
    /// Whether the student-information system answered.
    pub(super) is_answered: bool,
}

/// Takes pending postings that nobody else has and commits them as handed
/// over, each with its attempt. From here on a crash leaves them to be looked
/// up, not to be sent again. What a restored database may have forgotten is
/// looked up instead, and whose patron has no student account any more is not
/// sent.
pub(super) async fn claim_pending(
    billing: &Billing,
    sis: &Sis,
    limit: i64,
) -> Result<Claimed, Error> {
    // Taken before the lease, so that the sending ends before the lease does.
    let deadline = Instant::now() + sis.deadline();
    let at = billing.moment();
    let today = at.now.to_zoned(billing.zone.clone()).date();
    let claimed = transact!(billing.database, "hand_over_postings", |transaction| {
        let Some(trust) = trust::find(transaction).await? else {
            // Restored a moment ago: the next round notices it first.
            return Ok::<_, Error>(Claimed {
                handed_over: Vec::new(),
                count: 0,
            });
        };
        let due = store::lock_due(transaction, PostingState::Pending, at.machine, limit).await?;
        let account_ids: Vec<Uuid> = due.iter().map(|posting| posting.account_id).collect();
        let ids: Vec<Uuid> = due.iter().map(|posting| posting.id).collect();
        let mut standings = store::standings(transaction, &account_ids).await?;
        let mut statements = store::statements(transaction, &ids).await?;
        let mut attempts = Vec::with_capacity(due.len());
        let count = due.len();
        let mut claimed = Vec::with_capacity(count);
        let mut events = Vec::with_capacity(count);
        for mut posting in due {
            let standing = standings
                .remove(&posting.account_id)
                .ok_or(Error::AccountNotFound)?;
            let is_doubted = trust.doubts(&mut posting, standing.charged_at, sis.patience, at)?;
            // A credit goes where its charge is.
            if !is_doubted && !posting.amount.is_negative() {
                posting.address_to(standing.student_id, at.now)?;
            }
            if posting.state != PostingState::Pending {
                store::update_posting(transaction, &posting).await?;
                events.push(message::posting_changed(&posting, at.now));
                continue;
            }
            let attempt_id = new_id();
            posting.submit(attempt_id, today, sis.patience, at)?;
            attempts.push((attempt_id, posting.id));
            store::update_posting(transaction, &posting).await?;
            let (statement_text, original) = statements
                .remove(&posting.id)
                .ok_or(Error::PostingNotFound)?;
            events.push(message::posting_changed(&posting, at.now));
            claimed.push(HandedOver {
                posting,
                attempt_id,
                statement_text,
                original_reference: original.map(|original| original.reference),
                deadline,
            });
        }
        store::insert_attempts(transaction, "submit", &attempts, at.machine).await?;
        carrel_outbox::append(transaction, &events).await?;
        Ok(Claimed {
            handed_over: claimed,
            count,
        })
    })?;
    if claimed.count > 0 {
        billing.committed();
    }
    Ok(claimed)
}

/// Sends one posting, once, and records what became of it.
pub(super) async fn submit(
    billing: &Billing,
    sis: &Sis,
    handed_over: HandedOver,
) -> Result<Option<Recorded>, Error> {
    let outcome = send(sis, &handed_over).await;
    record(billing, &handed_over, outcome).await
}

async fn send(sis: &Sis, handed_over: &HandedOver) -> PostOutcome {
    let outgoing = outgoing(
        &handed_over.posting,
        &handed_over.statement_text,
        handed_over.original_reference.as_deref(),
    );
    let posting = match outgoing {
        Ok(posting) => posting,
        Err(description) => {
            let error = SisError {
                code: "carrel.NotSendable".into(),
                title: "Not sent".into(),
                description,
            };
            return PostOutcome::Rejected {
                errors: vec![error],
            };
        }
    };
    if Instant::now() >= handed_over.deadline {
        let late = "the machine was too busy to send it in time".to_owned();
        let cause = carrel_student_accounts::NotSentCause::Unreachable(late);
        return PostOutcome::NotSent { cause };
    }
    // Past the deadline somebody else may look it up and send it again, so
    // nothing of this one may leave any more.
    tokio::time::timeout_at(handed_over.deadline, sis.accounts.post(&posting))
        .await
        .unwrap_or(PostOutcome::Unknown {
            cause: UnknownCause::Timeout,
        })
}

/// What leaves: the student's id, period, destination, amount, date, our
/// reference and a neutral text (ARCHITECTURE §5.6).
pub(super) fn outgoing(
    posting: &Posting,
    statement_text: &str,
    original_reference: Option<&str>,
) -> Result<carrel_student_accounts::Posting, String> {
    let reference = |text: &str| text.parse::<Reference>().map_err(|error| error.to_string());
    let reversal_of = match (posting.reverses_posting_id, original_reference) {
        (Some(posting_id), Some(original)) => Some(Reversal {
            posting_id,
            reference: reference(original)?,
        }),
        (None, _) | (_, None) => None,
    };
    let description = Description::new(statement_text).map_err(|error| error.to_string())?;
    Ok(carrel_student_accounts::Posting {
        posting_id: posting.id,
        reference: reference(&posting.reference)?,
        student_id: posting.student_id.clone(),
        academic_period_id: posting.academic_period_id.clone(),
        funding_destination_id: posting.funding_destination_id.clone(),
        funding_source_id: None,
        amount: posting.amount,
        chargeable_on: posting.chargeable_on.ok_or("it bears no date")?,
        description,
        reversal_of,
    })
}

/// Records an answer. `None`: it came after the posting had gone on without
/// it.
async fn record(
    billing: &Billing,
    handed_over: &HandedOver,
    outcome: PostOutcome,
) -> Result<Option<Recorded>, Error> {
    let at = billing.moment();
    let actor = Actor::billing();
    let id = handed_over.posting.id;
    let (name, detail) = described(&outcome, &handed_over.posting.student_id);
    let state = transact!(billing.database, "record_posting_answer", |transaction| {
        let mut account = account::lock(transaction, handed_over.posting.account_id).await?;
        let mut posting = store::find_posting(transaction, id)
            .await?
            .ok_or(Error::PostingNotFound)?;
        store::end_attempt(
            transaction,
            handed_over.attempt_id,
            name,
            &detail,
            at.machine,
        )
        .await?;
        if posting.open_attempt_id != Some(handed_over.attempt_id) {
            return Ok::<_, Error>(None);
        }
        let mut events = Vec::new();
        match &outcome {
            PostOutcome::Accepted { sis_id } => {
                posting.acknowledge(sis_id.clone(), at)?;
                let step = account.transfer(posting.amount)?;
                let note = Note::default();
                let booked =
                    account::book(transaction, &mut account, step, &actor, &note, at.now).await?;
                events.extend(booked);
            }
            PostOutcome::Rejected { .. } => posting.reject(&detail, at)?,
            PostOutcome::NotSent { .. } => posting.not_sent(&detail, at)?,
            PostOutcome::Unknown { .. } if posting.state == PostingState::Submitted => {
                posting.lose(&detail, at)?;
            }
            PostOutcome::Unknown { .. } => {}
        }
        // It may have been paid or credited while it was away.
        posting.follow(account.owed_here()?, at.now)?;
        store::update_posting(transaction, &posting).await?;
        events.push(message::posting_changed(&posting, at.now));
        carrel_outbox::append(transaction, &events).await?;
        Ok(Some(posting.state))
    })?;
    billing.committed();
    match state {
        Some(state) => {
            tracing::info!(posting.id = %id, outcome = name, state = state.name(), "handed a posting over");
        }
        None => {
            tracing::error!(posting.id = %id, outcome = name, "an answer came too late; reconcile this posting");
        }
    }
    Ok(state.map(|state| Recorded {
        state,
        is_answered: match outcome {
            PostOutcome::Accepted { .. } | PostOutcome::Rejected { .. } => true,
            PostOutcome::NotSent { .. } | PostOutcome::Unknown { .. } => false,
        },
    }))
}

fn described(outcome: &PostOutcome, student_id: &str) -> (&'static str, String) {
    let (name, detail) = match outcome {
        PostOutcome::Accepted { .. } => ("acknowledged", String::new()),
        PostOutcome::Rejected { errors } => {
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            ("rejected", texts.join("; "))
        }
        PostOutcome::NotSent { cause } => ("not sent", cause.to_string()),
        PostOutcome::Unknown { cause } => ("unknown", cause.to_string()),
    };
    (name, without_student(&detail, student_id))
}

/// What a look-up says.
enum Answer {
    Found(String),
    NotFound,
    Undecided(&'static str, String),
    /// The student-information system is not there to ask.
    Unanswered(&'static str),
}

/// Looks one posting up by what it carried, and records what that proves.
pub(super) async fn look_up(
    billing: &Billing,
    sis: &Sis,
    seen: Posting,
) -> Result<Option<Recorded>, Error> {
    let asked_at = billing.moment().machine;
    let answer = ask(sis, &seen).await;
    let at = billing.moment();
    let actor = Actor::billing();
    let (name, detail) = match &answer {
        Answer::Found(_) => ("found", String::new()),
        Answer::NotFound => ("not found", String::new()),
        Answer::Undecided(name, detail) => (*name, detail.clone()),
        Answer::Unanswered(detail) => ("failed", (*detail).to_owned()),
    };
    let attempt = Attempt {
        kind: "look-up".into(),
        started_at: asked_at,
        ended_at: Some(at.machine),
        outcome: name.into(),
        detail,
    };
    let state = transact!(billing.database, "record_posting_look_up", |transaction| {
        let mut account = account::lock(transaction, seen.account_id).await?;
        let mut posting = store::find_posting(transaction, seen.id)
            .await?
            .ok_or(Error::PostingNotFound)?;
        store::insert_attempt(transaction, new_id(), seen.id, &attempt).await?;
        let moved_on = posting.state != PostingState::Unknown
            || posting.open_attempt_id != seen.open_attempt_id;
        if moved_on {
            return Ok::<_, Error>(None);
        }
        let mut events = Vec::new();
        match &answer {
            Answer::Found(sis_id) => {
                posting.acknowledge(sis_id.clone(), at)?;
                let step = account.transfer(posting.amount)?;
                let note = Note::default();
                let booked =
                    account::book(transaction, &mut account, step, &actor, &note, at.now).await?;
                events.extend(booked);
            }
            Answer::NotFound => posting.not_found(asked_at, at)?,
            Answer::Undecided(_, _) | Answer::Unanswered(_) => {
                let next = next_look_up(&posting, at.machine);
                posting.still_unknown(&attempt.detail, next, at)?;
            }
        }
        // It may have been paid or credited while nobody knew.
        posting.follow(account.owed_here()?, at.now)?;
        store::update_posting(transaction, &posting).await?;
        if posting.state != PostingState::Unknown {
            events.push(message::posting_changed(&posting, at.now));
        }
        carrel_outbox::append(transaction, &events).await?;
        Ok(Some(posting.state))
    })?;
    billing.committed();
    tracing::info!(posting.id = %seen.id, outcome = name, "looked a posting up");
    Ok(state.map(|state| Recorded {
        state,
        is_answered: !matches!(answer, Answer::Unanswered(_)),
    }))
}

/// The longer it is unknown, the more seldom it is looked up.
fn next_look_up(posting: &Posting, machine: Timestamp) -> Timestamp {
    let unknown_s = posting.absent_from.map_or(0, |absent_from| {
        machine.duration_since(absent_from).as_secs()
    });
    let doublings = i32::try_from(unknown_s.max(0) / 60).unwrap_or(i32::MAX);
    machine + back_off(doublings.saturating_add(1))
}

async fn ask(sis: &Sis, posting: &Posting) -> Answer {
    let lookup = match lookup_of(posting) {
        Ok(lookup) => lookup,
        Err(problem) => return Answer::Undecided("not asked", problem),
    };
    match tokio::time::timeout(sis.deadline(), sis.accounts.find(&lookup)).await {
        Ok(Ok(FindOutcome::Found(charge))) => Answer::Found(charge.sis_id),
        Ok(Ok(FindOutcome::NotFound)) => Answer::NotFound,
        Ok(Ok(FindOutcome::Ambiguous(charges))) => Answer::Undecided(
            "ambiguous",
            format!(
                "{} charges may be this one; a person has to look",
                charges.len()
            ),
        ),
        Ok(Err(error)) if is_away(&error) => Answer::Unanswered(sis_error_kind(&error)),
        Ok(Err(error)) => Answer::Undecided("failed", sis_error_kind(&error).to_owned()),
        Err(_) => Answer::Unanswered("no answer in time"),
    }
}

fn lookup_of(posting: &Posting) -> Result<PostingLookup, String> {
    Ok(PostingLookup {
        posting_id: posting.id,
        reference: posting
            .reference
            .parse()
            .map_err(|error: carrel_ids::InvalidReference| error.to_string())?,
        student_id: posting.student_id.clone(),
        academic_period_id: posting.academic_period_id.clone(),
        funding_destination_id: posting.funding_destination_id.clone(),
        amount: posting.amount,
        chargeable_on: posting.chargeable_on,
    })
}
