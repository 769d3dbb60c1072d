//! One batch of a load, in one transaction of few statements.

use std::collections::HashMap;

use carrel_outbox::NewEvent;
use carrel_proto::catalog::v1 as wire;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::copies::{self, Described, Locations};
use super::model::{Import, Problem};
use super::reader::{Batch, ReadRecord};
use super::{Stream, store};
use crate::error::Error;
use crate::item::{self, Item};
use crate::quarantine::store::NewQuarantined;
use crate::record::Kind;
use crate::record::store::{Kept, Upserted};
use crate::{location_unit, quarantine, record};

/// By what a record is known again: kind, number, agency, source.
type Key<'a> = (Kind, &'a str, &'a str, &'a str);

/// Commits a batch that follows what was committed of `before`. Returns where
/// the load stands then.
pub(crate) async fn commit(
    connection: &mut PgConnection,
    stream: &Stream,
    before: &Import,
    batch: &Batch,
    held_until: Timestamp,
    now: Timestamp,
) -> Result<(Import, Vec<Problem>), Error> {
    if !store::lock_held(connection, before.id, stream.holder).await? {
        return Err(Error::ImportInProgress);
    }
    let first_number = before.read_count + before.quarantined_count + 1;
    let mut import = before.clone();
    import.committed_offset += batch.bytes();
    import.record_bytes += batch.record_bytes;
    import.quarantined_bytes += batch.quarantined_bytes;
    import.separator_bytes += batch.separator_bytes;
    import.read_count += batch.records.len() as i64;
    import.quarantined_count += batch.bad_pieces.len() as i64;
    import.finished = batch.is_last;

    let records = keep_records(connection, before, &batch.records, now).await?;
    import.created_count += records.created_count;
    import.updated_count += batch.records.len() as i64 - records.created_count;
    let mut problems = keep_bad_pieces(connection, before.id, batch, first_number, now).await?;
    let mut events = records.events;
    let items = keep_items(
        connection,
        stream,
        &batch.records,
        &records.ids,
        first_number,
        now,
    )
    .await?;
    import.item_count += items.taken_count;
    import.item_problem_count += items.problems.len() as i64;
    problems.extend(items.problems);
    problems.sort_by_key(|problem| problem.record_number);
    events.extend(items.events);
    store::advance(
        connection,
        &import,
        batch.format,
        batch.resume,
        held_until,
        now,
    )
    .await?;
    let events: Vec<NewEvent> = events
        .into_iter()
        .map(|event| event.caused_by(stream.trace_parent.clone()))
        .collect();
    carrel_outbox::append(connection, &events).await?;
    Ok((import, problems))
}

struct KeptRecords {
    /// The id of each record of the batch.
    ids: Vec<Uuid>,
    created_count: i64,
    events: Vec<NewEvent>,
}

/// Keeps the records. Of those with the same control number the last one
/// stays, as if they had come one by one.
async fn keep_records(
    connection: &mut PgConnection,
    import: &Import,
    records: &[ReadRecord],
    now: Timestamp,
) -> Result<KeptRecords, Error> {
    let mut last: HashMap<Key<'_>, usize> = HashMap::new();
    for (at, read) in records.iter().enumerate() {
        if let Some(key) = key(read, &import.source) {
            last.insert(key, at);
        }
    }
    let new_ids: Vec<Uuid> = records.iter().map(|_| carrel_ids::new_id()).collect();
    let mut kept: Vec<Kept<'_>> = Vec::with_capacity(records.len());
    for (at, read) in records.iter().enumerate() {
        let key = key(read, &import.source);
        if key.is_none_or(|key| last.get(&key) == Some(&at)) {
            kept.push(Kept {
                id: new_ids[at],
                indexed: &read.indexed,
                control_source: key.map_or("", |(.., source)| source),
                raw: &read.raw,
                raw_form: read.form.name(),
                import_offset: read.offset,
            });
        }
    }
    // Loads that run at once take their locks in one order.
    kept.sort_by(|a, b| {
        let order = |kept: &Kept<'_>| {
            let indexed = kept.indexed;
            (
                indexed.control_number.clone(),
                indexed.control_agency.clone(),
                indexed.kind,
            )
        };
        order(a).cmp(&order(b))
    });
    if kept.is_empty() {
        return Ok(KeptRecords {
            ids: new_ids,
            created_count: 0,
            events: Vec::new(),
        });
    }
    let upserted = record::store::upsert(connection, import.id, &kept, now).await?;
    Ok(settle(records, &import.source, new_ids, &upserted, now))
}

/// Which id each record of the batch has come to.
fn settle(
    records: &[ReadRecord],
    source: &str,
    mut ids: Vec<Uuid>,
    upserted: &[Upserted],
    now: Timestamp,
) -> KeptRecords {
    let by_key: HashMap<(&str, &str, &str, &str), &Upserted> = upserted
        .iter()
        .filter_map(|row| {
            let number = row.control_number.as_deref()?;
            Some((
                (
                    row.kind.as_str(),
                    number,
                    row.control_agency.as_str(),
                    row.control_source.as_str(),
                ),
                row,
            ))
        })
        .collect();
    // A row that has one of the new ids was added.
    let new_ids: std::collections::HashSet<Uuid> = ids.iter().copied().collect();
    let created_count = upserted
        .iter()
        .filter(|row| new_ids.contains(&row.id))
        .count() as i64;
    for (at, read) in records.iter().enumerate() {
        if let Some((kind, number, agency, source)) = key(read, source)
            && let Some(row) = by_key.get(&(kind.name(), number, agency, source))
        {
            ids[at] = row.id;
        }
    }
    let events = upserted
        .iter()
        .map(|row| {
            let message = wire::RecordChanged {
                record_id: row.id.to_string(),
                revision: row.revision,
            };
            NewEvent::of(row.id, &message, now)
        })
        .collect();
    KeptRecords {
        ids,
        created_count,
        events,
    }
}

/// Without 003 a control number means something within its source only.
fn key<'a>(read: &'a ReadRecord, source: &'a str) -> Option<Key<'a>> {
    let indexed = &read.indexed;
    let number = indexed.control_number.as_deref()?;
    let source = if indexed.control_agency.is_empty() {
        source
    } else {
        ""
    };
    Some((indexed.kind, number, &indexed.control_agency, source))
}

async fn keep_bad_pieces(
    connection: &mut PgConnection,
    import_id: Uuid,
    batch: &Batch,
    first_number: i64,
    now: Timestamp,
) -> Result<Vec<Problem>, Error> {
    if batch.bad_pieces.is_empty() {
        return Ok(Vec::new());
    }
    let pieces: Vec<NewQuarantined<'_>> = batch
        .bad_pieces
        .iter()
        .map(|piece| NewQuarantined {
            file_offset: piece.offset,
            reason: piece.reason,
            description: &piece.description,
            raw: &piece.raw,
        })
        .collect();
    quarantine::store::insert(connection, import_id, &pieces, now).await?;
    Ok(batch
        .bad_pieces
        .iter()
        .map(|piece| Problem {
            offset: piece.offset,
            record_number: first_number + piece.place,
            reason: piece.reason,
            description: piece.description.clone(),
        })
        .collect())
}

#[derive(Default)]
struct KeptItems {
    taken_count: i64,
    problems: Vec<Problem>,
    events: Vec<NewEvent>,
}

async fn keep_items(
    connection: &mut PgConnection,
    stream: &Stream,
    records: &[ReadRecord],
    record_ids: &[Uuid],
    first_number: i64,
    now: Timestamp,
) -> Result<KeptItems, Error> {
    let described: Vec<Described<'_>> = records
        .iter()
        .zip(record_ids)
        .flat_map(|(read, id)| read.items.iter().map(move |field| (read, *id, field)))
        .map(|(read, id, field)| Described {
            field,
            record_id: (read.indexed.kind == Kind::Bibliographic).then_some(id),
            offset: read.offset,
            record_number: first_number + read.place,
        })
        .collect();
    if described.is_empty() {
        return Ok(KeptItems::default());
    }
    let shelves = location_unit::store::shelves(connection).await?;
    let existing = item::store::lock_by_barcodes(connection, &copies::barcodes(&described)).await?;
    let mut plan = copies::plan(
        &described,
        &existing,
        &Locations::new(&shelves),
        stream.currency,
    );
    let mut kept = KeptItems {
        taken_count: plan.taken_count,
        ..KeptItems::default()
    };

    if !plan.new.is_empty() {
        let added = item::store::insert(connection, &plan.new, now).await?;
        let added: std::collections::HashSet<Uuid> = added.into_iter().collect();
        for new in &plan.new {
            if added.contains(&new.id) {
                kept.events
                    .push(item::changed(&Item::added(new), now, None));
            } else if let Some(&(offset, number)) = plan.places.get(&new.id) {
                // Somebody else used the barcode since it was looked up.
                plan.problems.push(copies::barcode_taken(offset, number));
                kept.taken_count -= 1;
            }
        }
    }
    if !plan.changed.is_empty() {
        item::store::update(connection, &plan.changed, now).await?;
        for item in &mut plan.changed {
            item.revision += 1;
            kept.events.push(item::changed(item, now, None));
        }
    }
    kept.problems = plan.problems;
    Ok(kept)
}
