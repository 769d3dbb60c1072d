//! All SQL on records.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::identifier::Wanted;
use super::index::Indexed;
use super::model::Record;

/// Separates the values of a list on its way into the database. Values never
/// hold it: reading a MARC record replaces it, since it separates subfields.
const SEPARATOR: &str = "\u{1f}";

/// A record to be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    /// Its id where it is new.
    pub id: Uuid,
    pub indexed: &'a Indexed,
    /// The source of which its control number is, where the record does not
    /// name an agency; else empty.
    pub control_source: &'a str,
    pub raw: &'a [u8],
    pub raw_form: &'static str,
    pub import_offset: i64,
}

/// What became of a record: its id differs from the one given where it
/// replaced another one.
#[derive(Debug)]
pub(crate) struct Upserted {
    pub id: Uuid,
    pub kind: String,
    pub control_number: Option<String>,
    pub control_agency: String,
    pub control_source: String,
    pub revision: i64,
}

/// Adds records, or replaces those with the same control number. No two of
/// them may have the same; give them in the order of their control numbers, so
/// that two loads wait for each other instead of for good.
pub(crate) async fn upsert(
    connection: &mut PgConnection,
    import_id: Uuid,
    records: &[Kept<'_>],
    now: Timestamp,
) -> Result<Vec<Upserted>, sqlx::Error> {
    let texts = |read: fn(&Indexed) -> &str| -> Vec<&str> {
        records.iter().map(|record| read(record.indexed)).collect()
    };
    let lists = |read: fn(&Indexed) -> &[String]| -> Vec<String> {
        records
            .iter()
            .map(|record| read(record.indexed).join(SEPARATOR))
            .collect()
    };
    let ids: Vec<Uuid> = records.iter().map(|record| record.id).collect();
    let numbers: Vec<Option<&str>> = records
        .iter()
        .map(|record| record.indexed.control_number.as_deref())
        .collect();
    let sources: Vec<&str> = records.iter().map(|record| record.control_source).collect();
    let raws: Vec<&[u8]> = records.iter().map(|record| record.raw).collect();
    let forms: Vec<&str> = records.iter().map(|record| record.raw_form).collect();
    let years: Vec<Option<i16>> = records
        .iter()
        .map(|record| record.indexed.publication_year)
        .collect();
    let offsets: Vec<i64> = records.iter().map(|record| record.import_offset).collect();
    sqlx::query_as!(
        Upserted,
        "insert into record (
             id, kind, control_number, control_agency, control_source, raw, raw_form, title,
             contributors, identifiers, subjects, language, publication_year, format, warnings,
             words, import_id, import_offset, created_at, updated_at)
         select id, kind, control_number, control_agency, control_source, raw, raw_form, title,
             string_to_array(contributors, e'\\x1f'), string_to_array(identifiers, e'\\x1f'),
             string_to_array(subjects, e'\\x1f'), language, publication_year, format,
             string_to_array(warnings, e'\\x1f'),
             setweight(to_tsvector('simple', title_words), 'A')
                 || setweight(to_tsvector('simple', contributor_words), 'B')
                 || setweight(to_tsvector('simple', subject_words), 'C'),
             $19, import_offset, $20, $20
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[],
                 $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                 $13::smallint[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
                 $21::bigint[])
             as new (id, kind, control_number, control_agency, control_source, raw, raw_form, title,
                 contributors, identifiers, subjects, language, publication_year, format, warnings,
                 title_words, contributor_words, subject_words, import_offset)
         on conflict on constraint record_control_number_key do update set
             raw = excluded.raw, raw_form = excluded.raw_form, title = excluded.title,
             contributors = excluded.contributors, identifiers = excluded.identifiers,
             subjects = excluded.subjects, language = excluded.language,
             publication_year = excluded.publication_year, format = excluded.format,
             warnings = excluded.warnings, words = excluded.words,
             import_id = excluded.import_id, import_offset = excluded.import_offset,
             revision = record.revision + 1, updated_at = excluded.updated_at
         returning id, kind, control_number, control_agency, control_source, revision",
        &ids,
        &texts(|record| record.kind.name()) as _,
        &numbers as _,
        &texts(|record| &record.control_agency) as _,
        &sources as _,
        &raws as _,
        &forms as _,
        &texts(|record| &record.title) as _,
        &lists(|record| &record.contributors),
        &lists(|record| &record.identifiers),
        &lists(|record| &record.subjects),
        &texts(|record| &record.language) as _,
        &years as _,
        &texts(|record| record.format.name()) as _,
        &lists(|record| &record.warnings),
        &texts(|record| &record.title_words) as _,
        &texts(|record| &record.contributor_words) as _,
        &texts(|record| &record.subject_words) as _,
        import_id,
        now.to_sqlx(),
        &offsets,
    )
    .fetch_all(connection)
    .await
}

struct RecordRow {
    id: Uuid,
    control_number: Option<String>,
    control_agency: String,
    title: String,
    contributors: Vec<String>,
    identifiers: Vec<String>,
    subjects: Vec<String>,
    language: String,
    publication_year: Option<i16>,
    format: String,
    warnings: Vec<String>,
    raw_form: String,
    revision: i64,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
    item_count: i32,
    available_count: i32,
}

impl From<RecordRow> for Record {
    fn from(row: RecordRow) -> Self {
        Self {
            id: row.id,
            control_number: row.control_number,
            control_agency: row.control_agency,
            title: row.title,
            contributors: row.contributors,
            identifiers: row.identifiers,
            subjects: row.subjects,
            language: row.language,
            publication_year: row.publication_year,
            format: row.format,
            warnings: row.warnings,
            raw_form: row.raw_form,
            revision: row.revision,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
            item_count: row.item_count,
            available_count: row.available_count,
        }
    }
}

pub(crate) async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Record>, sqlx::Error> {
    let mut found = find_all(pool, &[id]).await?;
    Ok(found.pop())
}

/// Reads records with the counts of their items, in any order.
pub(crate) async fn find_all(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Record>, sqlx::Error> {
    let rows = sqlx::query_as!(
        RecordRow,
        r#"select record.id, control_number, control_agency, title, contributors, identifiers,
               subjects, language, publication_year, format, warnings, raw_form, record.revision,
               record.created_at, record.updated_at,
               items.item_count as "item_count!", items.available_count as "available_count!"
           from record cross join lateral (
               select count(*)::int as item_count,
                   (count(*) filter (where item.status = 'available'
                       and coalesce(availability.status, 'in') = 'in'))::int as available_count
               from item left join item_availability availability on availability.item_id = item.id
               where item.record_id = record.id and item.status <> 'withdrawn') items
           where record.id = any($1)"#,
        ids,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Record::from).collect())
}

pub(crate) async fn find_raw(pool: &PgPool, id: Uuid) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!("select raw from record where id = $1", id)
        .fetch_optional(pool)
        .await
}

/// What is searched for. A filter that is not set is `None`.
#[derive(Debug, Default)]
pub(crate) struct Criteria {
    /// In the syntax of `websearch_to_tsquery`, normalised.
    pub query: Option<String>,
    pub language: Option<String>,
    pub format: Option<&'static str>,
    pub year_from: Option<i16>,
    pub year_to: Option<i16>,
    /// An identifier or control number of the record.
    pub identifier: Option<Wanted>,
    pub library_code: Option<String>,
    pub available_only: bool,
}

/// A record that was found, and how well it matches.
#[derive(Debug)]
pub(crate) struct Found {
    pub id: Uuid,
    pub rank: f32,
}

/// Records that share an identifier: editions and copies of a record, not more.
const MOST_WITH_IDENTIFIER: i64 = 1000;

/// The records that have an identifier or control number. By itself, so that
/// PostgreSQL takes the indexes: among the other criteria it guesses thousands
/// of matches and reads the whole table in the order of the answer.
pub(crate) async fn find_by_identifier(
    pool: &PgPool,
    wanted: &Wanted,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id!" from (
               select id from record where identifiers && $1
               union
               select id from record
               where control_number = $2 and ($3::text is null or control_agency = $3)) found
           limit $4"#,
        &wanted.identifiers,
        wanted.control_number,
        wanted.control_agency,
        MOST_WITH_IDENTIFIER,
    )
    .fetch_all(pool)
    .await
}

/// A page of what is found, best match first and among equals the newest,
/// after the (rank, id) given; only among `with_identifier`, where it is given.
pub(crate) async fn search(
    pool: &PgPool,
    criteria: &Criteria,
    with_identifier: Option<&[Uuid]>,
    after: Option<(f32, Uuid)>,
    limit: i64,
) -> Result<Vec<Found>, sqlx::Error> {
    let (after_rank, after_id) = after.unzip();
    // Weights D, C, B, A; 1: a short title with the word before a long one.
    sqlx::query_as!(
        Found,
        r#"with found as (
               select record.id, case when $1::text is null then 0::real else
                   ts_rank('{0.1, 0.2, 0.4, 1.0}', words, websearch_to_tsquery('simple', $1), 1) end as rank
               from record
               where ($1::text is null or words @@ websearch_to_tsquery('simple', $1))
                 and ($2::text is null or language = $2)
                 and ($3::text is null or format = $3)
                 and ($4::smallint is null or publication_year >= $4)
                 and ($5::smallint is null or publication_year <= $5)
                 and ($6::uuid[] is null or record.id = any($6))
                 and ($7::text is null and not $8 or exists (
                     select 1
                     from item
                         join location_unit location on location.id = item.location_id
                         join location_unit library on library.id = location.parent_id
                         left join item_availability availability on availability.item_id = item.id
                     where item.record_id = record.id and item.status <> 'withdrawn'
                       and ($7::text is null or library.code = $7)
                       and (not $8 or item.status = 'available'
                           and coalesce(availability.status, 'in') = 'in')))
           )
           select id, rank as "rank!" from found
           where $9::real is null or (rank, id) < ($9, $10)
           order by rank desc, id desc limit $11"#,
        criteria.query,
        criteria.language,
        criteria.format,
        criteria.year_from,
        criteria.year_to,
        with_identifier,
        criteria.library_code,
        criteria.available_only,
        after_rank,
        after_id,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Whether there is such a record, which then stays.
pub(crate) async fn exists(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select 1 as found from record where id = $1 for key share",
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}
