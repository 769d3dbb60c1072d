//! Pending postings become a batch and its file, in one transaction.

use carrel_database::transact;
use carrel_ids::new_id;
use carrel_student_accounts::batch::{BatchFile, BatchHead, Kinds};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::store::{self, NewLine};
use super::{BatchSite, day_begins, earliest_credit};
use crate::error::Error;
use crate::posting::exchange::outgoing;
use crate::posting::model::{Moment, Patience, Posting, PostingState};
use crate::posting::store::{self as postings, Original};
use crate::posting::trust::{self, Trust};
use crate::{Billing, message};

/// Batches of one round; the rest waits for the next.
const MOST_BATCHES: usize = 100;
/// Until a batch is delivered its answer is not waited for.
const NOT_DELIVERED: Patience = Patience {
    deadline: jiff::SignedDuration::from_hours(24 * 365),
    max_in_flight: jiff::SignedDuration::ZERO,
};

/// Builds batches until nothing is pending. Returns how many postings are in them.
pub(super) async fn build_all(billing: &Billing, site: &BatchSite) -> Result<i64, Error> {
    let kinds: &[Option<bool>] = match site.layout.kinds {
        Kinds::Together => &[None],
        Kinds::Apart => &[Some(false), Some(true)],
    };
    let mut batched = 0;
    for credits in kinds {
        for _ in 0..MOST_BATCHES {
            match build(billing, site, *credits).await {
                Ok(built) => {
                    if built.seen > 0 {
                        billing.committed();
                    }
                    batched += built.batched as i64;
                    if built.seen == 0 {
                        break;
                    }
                }
                // Names go by the second at some sites.
                Err(Error::BatchNameTaken) => {
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(batched)
}

struct Built {
    /// Postings that were looked at: zero ends the round.
    seen: usize,
    /// Postings in the batch.
    batched: usize,
}

/// Builds one batch of what is pending: all of it, or only charges, or only credits.
async fn build(billing: &Billing, site: &BatchSite, credits: Option<bool>) -> Result<Built, Error> {
    let at = billing.moment();
    let local = at.now.to_zoned(billing.zone.clone()).datetime();
    let limit = i64::try_from(site.layout.limits.rows).unwrap_or(i64::MAX);
    transact!(billing.database, "build_posting_batch", |transaction| {
        let Some(trust) = trust::find(transaction).await? else {
            return Ok::<_, Error>(Built {
                seen: 0,
                batched: 0,
            });
        };
        let due = store::lock_pending(transaction, at.machine, credits, limit).await?;
        let seen = due.len();
        let mut chosen = choose(transaction, billing, site, &trust, due, at).await?;
        let batched = chosen.lines.len();
        if !chosen.lines.is_empty() {
            write_batch(transaction, site, &mut chosen, local, at).await?;
        }
        let events: Vec<_> = chosen
            .changed
            .iter()
            .map(|posting| message::posting_changed(posting, at.now))
            .collect();
        carrel_outbox::append(transaction, &events).await?;
        Ok(Built { seen, batched })
    })
}

/// What a batch is made of.
struct Chosen {
    /// Every posting that changed, those in the batch among them.
    changed: Vec<Posting>,
    /// Those in the batch, as they leave, with their places in `changed`.
    lines: Vec<(carrel_student_accounts::Posting, usize)>,
}

/// Sorts out what cannot be sent: a person looks at it, or its day has not come.
async fn choose(
    connection: &mut PgConnection,
    billing: &Billing,
    site: &BatchSite,
    trust: &Trust,
    due: Vec<Posting>,
    at: Moment,
) -> Result<Chosen, Error> {
    let today = at.now.to_zoned(billing.zone.clone()).date();
    let account_ids: Vec<Uuid> = due.iter().map(|posting| posting.account_id).collect();
    let ids: Vec<Uuid> = due.iter().map(|posting| posting.id).collect();
    let mut standings = postings::standings(connection, &account_ids).await?;
    let mut statements = postings::statements(connection, &ids).await?;
    let mut gross = Decimal::ZERO;
    let mut chosen = Chosen {
        changed: Vec::with_capacity(due.len()),
        lines: Vec::with_capacity(due.len()),
    };
    for mut posting in due {
        let standing = standings
            .remove(&posting.account_id)
            .ok_or(Error::AccountNotFound)?;
        trust.doubts(&mut posting, standing.charged_at, site.patience(), at)?;
        if posting.state == PostingState::Pending && !posting.amount.is_negative() {
            posting.address_to(standing.student_id, at.now)?;
        }
        if posting.state == PostingState::Pending {
            let statement = statements
                .remove(&posting.id)
                .ok_or(Error::PostingNotFound)?;
            let amount = posting.amount.amount().abs();
            let most = site.layout.limits.total;
            match ready(site, &posting, statement, today, billing) {
                Ready::Later(next) => posting.next_attempt_at = next.max(at.machine),
                Ready::Never(problem) => posting.refuse(&problem, at)?,
                Ready::Now(_) if most.is_some_and(|most| amount > most) => {
                    posting.refuse("it is more than a file of this site may hold", at)?;
                }
                // The next batch's.
                Ready::Now(_) if most.is_some_and(|most| gross + amount > most) => continue,
                Ready::Now(line) => {
                    gross += amount;
                    posting.submit(new_id(), today, NOT_DELIVERED, at)?;
                    chosen.lines.push((*line, chosen.changed.len()));
                }
            }
        }
        postings::update_posting(connection, &posting).await?;
        chosen.changed.push(posting);
    }
    Ok(chosen)
}

enum Ready {
    Now(Box<carrel_student_accounts::Posting>),
    Later(Timestamp),
    Never(String),
}

/// Whether a posting can go by the site's rules.
fn ready(
    site: &BatchSite,
    posting: &Posting,
    (statement_text, original): (String, Option<Original>),
    today: Date,
    billing: &Billing,
) -> Ready {
    let rules = site.layout.reversals;
    if let Some(original) = &original {
        let charged_on = original.chargeable_on.unwrap_or(Date::MIN);
        let earliest = earliest_credit(charged_on, rules.after_days);
        if today < earliest {
            let wait = day_begins(earliest, &billing.zone)
                .map_or(jiff::SignedDuration::from_hours(24), |start| {
                    start.duration_since(billing.clock.now())
                });
            return Ready::Later(billing.moment().machine + wait);
        }
        if rules.whole && original.amount != -posting.amount.amount() {
            return Ready::Never("this site takes back whole charges only; enter it there".into());
        }
    }
    let dated = Posting {
        chargeable_on: Some(today),
        ..posting.clone()
    };
    let reference = original.map(|original| original.reference);
    let line = match outgoing(&dated, &statement_text, reference.as_deref()) {
        Ok(line) => line,
        Err(problem) => return Ready::Never(problem),
    };
    match site.layout.check(&line) {
        Ok(()) => Ready::Now(Box::new(line)),
        Err(error) => Ready::Never(error.to_string()),
    }
}

/// Numbers the batch, writes its file, and keeps both.
async fn write_batch(
    connection: &mut PgConnection,
    site: &BatchSite,
    chosen: &mut Chosen,
    local: DateTime,
    at: Moment,
) -> Result<(), Error> {
    let destination = &site.layout.name;
    // The number last: others wait for it.
    let sequence = store::next_sequence(connection, destination).await?;
    let head = BatchHead {
        id: new_id(),
        sequence: u64::try_from(sequence).unwrap_or_default(),
        at: local,
    };
    let lines: Vec<_> = chosen.lines.iter().map(|(line, _)| line.clone()).collect();
    let file = site
        .layout
        .write(&head, &lines)
        .map_err(Error::BatchNotWritable)?;
    let currency = lines
        .first()
        .map_or("", |line| line.amount.currency().code());
    store::insert_batch(
        connection,
        head.id,
        destination,
        sequence,
        currency,
        &file,
        at.machine,
    )
    .await?;
    let new_lines = new_lines(chosen, &file);
    store::insert_lines(connection, head.id, &new_lines, at.machine).await
}

fn new_lines(chosen: &Chosen, file: &BatchFile) -> Vec<NewLine> {
    chosen
        .lines
        .iter()
        .zip(&file.rows)
        .filter_map(|((line, place), row)| {
            let posting = chosen.changed.get(*place)?;
            Some(NewLine {
                posting_id: posting.id,
                attempt_id: posting.open_attempt_id?,
                row_number: i32::try_from(*row).ok()?,
                reference: line.reference.to_string(),
                amount: posting.amount.amount(),
            })
        })
        .collect()
}
