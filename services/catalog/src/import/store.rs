//! All SQL on loads.

use carrel_marc::{Form, Format};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::model::{Header, Import, Inside, ResumePoint, format_from_name, format_name};
use crate::error::Error;

/// Notes a load that is new; an older one with its id stays as it is.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    header: &Header,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into import (id, source, load_profile, asked_encoding, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $5)
         on conflict on constraint import_pkey do nothing",
        header.import_id,
        header.source,
        header.profile.name(),
        header.format.map(format_name),
        now.to_sqlx(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What a stream has to know to go on with a load.
#[derive(Debug)]
pub(crate) struct Locked {
    pub import: Import,
    pub load_profile: String,
    pub asked_format: Option<Format>,
    pub format: Option<Format>,
    pub resume: ResumePoint,
    /// Until when another stream holds it.
    pub held_until: Option<Timestamp>,
}

pub(crate) async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Locked, Error> {
    let row = sqlx::query!("select * from import where id = $1 for no key update", id)
        .fetch_one(connection)
        .await?;
    let format = |name: Option<String>| -> Result<Option<Format>, Error> {
        name.map(|name| format_from_name(&name).ok_or(Error::Unsound("encoding of an import")))
            .transpose()
    };
    let form = row
        .resume_form
        .map(|name| Form::from_name(&name).ok_or(Error::Unsound("form of an import")))
        .transpose()?;
    Ok(Locked {
        load_profile: row.load_profile,
        asked_format: format(row.asked_encoding)?,
        format: format(row.encoding)?,
        resume: ResumePoint {
            form,
            inside: Inside::from_name(&row.resume_inside)
                .ok_or(Error::Unsound("place of an import"))?,
        },
        held_until: row.held_until.map(|until| until.to_jiff()),
        import: Import {
            id: row.id,
            source: row.source,
            committed_offset: row.committed_offset,
            read_count: row.read_count,
            created_count: row.created_count,
            updated_count: row.updated_count,
            quarantined_count: row.quarantined_count,
            item_count: row.item_count,
            item_problem_count: row.item_problem_count,
            record_bytes: row.record_bytes,
            quarantined_bytes: row.quarantined_bytes,
            separator_bytes: row.separator_bytes,
            finished: row.finished,
        },
    })
}

pub(crate) async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Import>, sqlx::Error> {
    sqlx::query_as!(
        Import,
        "select id, source, committed_offset, read_count, created_count, updated_count,
             quarantined_count, item_count, item_problem_count, record_bytes, quarantined_bytes,
             separator_bytes, finished
         from import where id = $1",
        id,
    )
    .fetch_optional(pool)
    .await
}

/// Gives a load to a stream.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    id: Uuid,
    holder: Uuid,
    until: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update import set holder = $2, held_until = $3 where id = $1",
        id,
        holder,
        until.to_sqlx(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Locks a load that this stream holds; false where another one took it over.
pub(crate) async fn lock_held(
    connection: &mut PgConnection,
    id: Uuid,
    holder: Uuid,
) -> Result<bool, sqlx::Error> {
    let held = sqlx::query_scalar!(
        "select 1 as held from import where id = $1 and holder = $2 for no key update",
        id,
        holder,
    )
    .fetch_optional(connection)
    .await?;
    Ok(held.is_some())
}

/// Lets a load go, where this stream still holds it.
pub(crate) async fn release(pool: &PgPool, id: Uuid, holder: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update import set holder = null, held_until = null where id = $1 and holder = $2",
        id,
        holder,
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Writes how far a load has come; one that is finished is let go.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    import: &Import,
    format: Option<Format>,
    resume: ResumePoint,
    held_until: Timestamp,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update import set committed_offset = $2, read_count = $3, created_count = $4,
             updated_count = $5, quarantined_count = $6, item_count = $7, item_problem_count = $8,
             record_bytes = $9, quarantined_bytes = $10, separator_bytes = $11, finished = $12,
             encoding = $13, resume_form = $14, resume_inside = $15, updated_at = $16,
             holder = case when $12 then null else holder end,
             held_until = case when $12 then null else $17::timestamptz end
         where id = $1",
        import.id,
        import.committed_offset,
        import.read_count,
        import.created_count,
        import.updated_count,
        import.quarantined_count,
        import.item_count,
        import.item_problem_count,
        import.record_bytes,
        import.quarantined_bytes,
        import.separator_bytes,
        import.finished,
        format.map(format_name),
        resume.form.map(Form::name),
        resume.inside.name(),
        now.to_sqlx(),
        held_until.to_sqlx(),
    )
    .execute(connection)
    .await
    .map(drop)
}
