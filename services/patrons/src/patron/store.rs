//! All SQL of accounts.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use carrel_runtime::BarcodeKey;

use super::HistoryChoice;
use super::model::{Account, Patron};
use super::name;
use super::standing::{Standing, barcode_hmac};

struct PatronRow {
    id: Uuid,
    source: Option<String>,
    external_id: Option<String>,
    barcode: Option<String>,
    username: Option<String>,
    patron_group: String,
    last_name: String,
    first_name: String,
    middle_name: String,
    email: String,
    phone: String,
    home_library: String,
    affiliation: String,
    student_id: String,
    enrollment_date: Option<jiff_sqlx::Date>,
    expiration_date: Option<jiff_sqlx::Date>,
    active: bool,
    keeps_history: bool,
    revision: i64,
}

impl From<PatronRow> for Patron {
    fn from(row: PatronRow) -> Self {
        Self {
            id: row.id,
            account: Account {
                source: row.source.unwrap_or_default(),
                external_id: row.external_id.unwrap_or_default(),
                barcode: row.barcode.unwrap_or_default(),
                username: row.username.unwrap_or_default(),
                patron_group: row.patron_group,
                last_name: row.last_name,
                first_name: row.first_name,
                middle_name: row.middle_name,
                email: row.email,
                phone: row.phone,
                home_library: row.home_library,
                affiliation: row.affiliation,
                student_id: row.student_id,
                enrollment_date: row.enrollment_date.map(|date| date.to_jiff()),
                expiration_date: row.expiration_date.map(|date| date.to_jiff()),
                active: row.active,
            },
            keeps_history: row.keeps_history,
            revision: row.revision,
        }
    }
}

fn patrons(rows: Vec<PatronRow>) -> Vec<Patron> {
    rows.into_iter().map(Patron::from).collect()
}

/// The patrons with these ids, by id.
pub(crate) async fn read(
    executor: impl PgExecutor<'_>,
    ids: &[Uuid],
) -> Result<Vec<Patron>, sqlx::Error> {
    let rows = sqlx::query_as!(
        PatronRow,
        "select id, source, external_id, barcode, username, patron_group, last_name, first_name,
                middle_name, email, phone, home_library, affiliation, student_id, enrollment_date,
                expiration_date, active, keeps_history, revision
         from patron where id = any($1) order by id",
        ids
    )
    .fetch_all(executor)
    .await?;
    Ok(patrons(rows))
}

/// The patron with a barcode.
pub(crate) async fn find_by_barcode(
    executor: impl PgExecutor<'_>,
    barcode: &str,
) -> Result<Option<Patron>, sqlx::Error> {
    let row = sqlx::query_as!(
        PatronRow,
        "select id, source, external_id, barcode, username, patron_group, last_name, first_name,
                middle_name, email, phone, home_library, affiliation, student_id, enrollment_date,
                expiration_date, active, keeps_history, revision
         from patron where barcode = $1",
        barcode
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Patron::from))
}

/// A patron, locked until the transaction ends; a block may be set meanwhile.
pub(crate) async fn find_and_lock(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Patron>, sqlx::Error> {
    let row = sqlx::query_as!(
        PatronRow,
        "select id, source, external_id, barcode, username, patron_group, last_name, first_name,
                middle_name, email, phone, home_library, affiliation, student_id, enrollment_date,
                expiration_date, active, keeps_history, revision
         from patron where id = $1 for no key update",
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Patron::from))
}

/// The patrons that a roster's rows mean, locked until the transaction ends.
pub(crate) async fn match_and_lock(
    connection: &mut PgConnection,
    sources: &[String],
    external_ids: &[String],
) -> Result<Vec<Patron>, sqlx::Error> {
    // In one order for everybody, so that loads wait for each other rather
    // than deadlock.
    let rows = sqlx::query_as!(
        PatronRow,
        "select id, source, external_id, barcode, username, patron_group, last_name, first_name,
                middle_name, email, phone, home_library, affiliation, student_id, enrollment_date,
                expiration_date, active, keeps_history, revision
         from patron
         where (source, external_id) in (select * from unnest($1::text[], $2::text[]))
         order by id for no key update",
        sources,
        external_ids
    )
    .fetch_all(connection)
    .await?;
    Ok(patrons(rows))
}

/// Who has which of these barcodes.
pub(crate) async fn holders_of_barcodes(
    connection: &mut PgConnection,
    barcodes: &[String],
) -> Result<Vec<(String, Uuid)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select barcode as "barcode!", id from patron where barcode = any($1)"#,
        barcodes
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.barcode, row.id)).collect())
}

/// Who has which of these usernames, in lower case.
pub(crate) async fn holders_of_usernames(
    connection: &mut PgConnection,
    username_keys: &[String],
) -> Result<Vec<(String, Uuid)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select username_key as "username_key!", id from patron where username_key = any($1)"#,
        username_keys
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.username_key, row.id))
        .collect())
}

/// Ids of patrons after one, in a group where one is given.
pub(crate) async fn list(
    executor: impl PgExecutor<'_>,
    patron_group: Option<&str>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let Some(patron_group) = patron_group else {
        return sqlx::query_scalar!(
            "select id from patron where id > $1 order by id limit $2",
            after,
            limit
        )
        .fetch_all(executor)
        .await;
    };
    sqlx::query_scalar!(
        "select id from patron where patron_group = $1 and id > $2 order by id limit $3",
        patron_group,
        after,
        limit
    )
    .fetch_all(executor)
    .await
}

/// Ids of patrons after one whose last, first or user name begins so, in a
/// group where one is given.
pub(crate) async fn search(
    executor: impl PgExecutor<'_>,
    prefix: &str,
    patron_group: Option<&str>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let name_key = name::folded(prefix);
    let username_key = name::username_key(prefix.trim());
    // A union, so that each part is a range of its index.
    sqlx::query_scalar!(
        r#"select id as "id!" from (
             select id, patron_group from patron where last_name_key >= $1 and last_name_key < $2
             union
             select id, patron_group from patron where first_name_key >= $1 and first_name_key < $2
             union
             select id, patron_group from patron where username_key >= $3 and username_key < $4
         ) found
         where ($5::text is null or patron_group = $5) and id > $6
         order by id limit $7"#,
        name_key,
        name::end_of_prefix(&name_key),
        username_key,
        name::end_of_prefix(&username_key),
        patron_group,
        after,
        limit
    )
    .fetch_all(executor)
    .await
}

/// The columns of many patrons, as `unnest` takes them.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    barcodes: Vec<String>,
    barcode_hmacs: Vec<Option<Vec<u8>>>,
    usernames: Vec<String>,
    username_keys: Vec<String>,
    patron_groups: Vec<String>,
    last_names: Vec<String>,
    last_name_keys: Vec<String>,
    first_names: Vec<String>,
    first_name_keys: Vec<String>,
    middle_names: Vec<String>,
    emails: Vec<String>,
    phones: Vec<String>,
    home_libraries: Vec<String>,
    affiliations: Vec<String>,
    student_ids: Vec<String>,
    sources: Vec<String>,
    external_ids: Vec<String>,
    enrollment_dates: Vec<Option<jiff_sqlx::Date>>,
    expiration_dates: Vec<Option<jiff_sqlx::Date>>,
    actives: Vec<bool>,
    revisions: Vec<i64>,
}

impl Columns {
    fn of(patrons: &[Patron], barcode_key: &BarcodeKey) -> Self {
        let mut columns = Self::default();
        for Patron {
            id,
            account,
            // The patron's own to choose.
            keeps_history: _,
            revision,
        } in patrons
        {
            columns.ids.push(*id);
            columns.barcodes.push(account.barcode.clone());
            columns
                .barcode_hmacs
                .push(barcode_hmac(account, barcode_key));
            columns.usernames.push(account.username.clone());
            columns
                .username_keys
                .push(name::username_key(&account.username));
            columns.patron_groups.push(account.patron_group.clone());
            columns.last_names.push(account.last_name.clone());
            columns
                .last_name_keys
                .push(name::folded(&account.last_name));
            columns.first_names.push(account.first_name.clone());
            columns
                .first_name_keys
                .push(name::folded(&account.first_name));
            columns.middle_names.push(account.middle_name.clone());
            columns.emails.push(account.email.clone());
            columns.phones.push(account.phone.clone());
            columns.home_libraries.push(account.home_library.clone());
            columns.affiliations.push(account.affiliation.clone());
            columns.student_ids.push(account.student_id.clone());
            columns.sources.push(account.source.clone());
            columns.external_ids.push(account.external_id.clone());
            columns
                .enrollment_dates
                .push(account.enrollment_date.map(Date::to_sqlx));
            columns
                .expiration_dates
                .push(account.expiration_date.map(Date::to_sqlx));
            columns.actives.push(account.active);
            columns.revisions.push(*revision);
        }
        columns
    }
}

/// Adds patrons.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    patrons: &[Patron],
    barcode_key: &BarcodeKey,
) -> Result<(), sqlx::Error> {
    let new = Columns::of(patrons, barcode_key);
    sqlx::query!(
        "insert into patron (id, barcode, barcode_hmac, username, username_key, patron_group,
             last_name, last_name_key, first_name, first_name_key, middle_name, email, phone,
             home_library, affiliation, student_id, source, external_id, enrollment_date,
             expiration_date, active, revision)
         select id, nullif(barcode, ''), barcode_hmac, nullif(username, ''), nullif(username_key, ''),
             patron_group, last_name, last_name_key, first_name, first_name_key, middle_name, email,
             phone, home_library, affiliation, student_id, nullif(source, ''),
             nullif(external_id, ''), enrollment_date, expiration_date, active, revision
         from unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[],
             $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
             $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::date[],
             $20::date[], $21::boolean[], $22::bigint[])
             as new (id, barcode, barcode_hmac, username, username_key, patron_group, last_name,
             last_name_key, first_name, first_name_key, middle_name, email, phone, home_library,
             affiliation, student_id, source, external_id, enrollment_date, expiration_date, active,
             revision)",
        &new.ids,
        &new.barcodes,
        &new.barcode_hmacs as _,
        &new.usernames,
        &new.username_keys,
        &new.patron_groups,
        &new.last_names,
        &new.last_name_keys,
        &new.first_names,
        &new.first_name_keys,
        &new.middle_names,
        &new.emails,
        &new.phones,
        &new.home_libraries,
        &new.affiliations,
        &new.student_ids,
        &new.sources,
        &new.external_ids,
        &new.enrollment_dates as _,
        &new.expiration_dates as _,
        &new.actives,
        &new.revisions
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes patrons that were locked; their roster's key stays.
pub(crate) async fn update(
    connection: &mut PgConnection,
    patrons: &[Patron],
    barcode_key: &BarcodeKey,
) -> Result<(), sqlx::Error> {
    let new = Columns::of(patrons, barcode_key);
    let updated = sqlx::query!(
        "update patron set barcode = nullif(new.barcode, ''), barcode_hmac = new.barcode_hmac,
             username = nullif(new.username, ''), username_key = nullif(new.username_key, ''),
             patron_group = new.patron_group, last_name = new.last_name,
             last_name_key = new.last_name_key, first_name = new.first_name,
             first_name_key = new.first_name_key, middle_name = new.middle_name, email = new.email,
             phone = new.phone, home_library = new.home_library, affiliation = new.affiliation,
             student_id = new.student_id, enrollment_date = new.enrollment_date,
             expiration_date = new.expiration_date, active = new.active, revision = new.revision
         from unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[],
             $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
             $14::text[], $15::text[], $16::text[], $17::date[], $18::date[], $19::boolean[],
             $20::bigint[])
             as new (id, barcode, barcode_hmac, username, username_key, patron_group, last_name,
             last_name_key, first_name, first_name_key, middle_name, email, phone, home_library,
             affiliation, student_id, enrollment_date, expiration_date, active, revision)
         where patron.id = new.id and patron.revision < new.revision",
        &new.ids,
        &new.barcodes,
        &new.barcode_hmacs as _,
        &new.usernames,
        &new.username_keys,
        &new.patron_groups,
        &new.last_names,
        &new.last_name_keys,
        &new.first_names,
        &new.first_name_keys,
        &new.middle_names,
        &new.emails,
        &new.phones,
        &new.home_libraries,
        &new.affiliations,
        &new.student_ids,
        &new.enrollment_dates as _,
        &new.expiration_dates as _,
        &new.actives,
        &new.revisions
    )
    .execute(connection)
    .await?
    .rows_affected();
    // They were locked, so this can't differ; if it does, nothing is kept.
    if usize::try_from(updated).is_ok_and(|updated| updated == patrons.len()) {
        Ok(())
    } else {
        Err(sqlx::Error::RowNotFound)
    }
}

struct StandingRow {
    id: Uuid,
    barcode_hmac: Option<Vec<u8>>,
    patron_group: String,
    expiration_date: Option<jiff_sqlx::Date>,
    active: bool,
    student_id: String,
    affiliation: String,
    home_library: String,
    keeps_history: bool,
    revision: i64,
}

impl From<StandingRow> for Standing {
    fn from(row: StandingRow) -> Self {
        Self {
            patron_id: row.id,
            barcode_hmac: row.barcode_hmac.unwrap_or_default(),
            patron_group: row.patron_group,
            expiration_date: row.expiration_date.map(|date| date.to_jiff()),
            active: row.active,
            student_id: row.student_id,
            affiliation: row.affiliation,
            home_library: row.home_library,
            keeps_history: row.keeps_history,
            revision: row.revision,
        }
    }
}

/// A patron's standing, by id.
pub(crate) async fn find_standing(
    executor: impl PgExecutor<'_>,
    id: Uuid,
) -> Result<Option<Standing>, sqlx::Error> {
    let row = sqlx::query_as!(
        StandingRow,
        "select id, barcode_hmac, patron_group, expiration_date, active, student_id, affiliation,
                home_library, keeps_history, revision
         from patron where id = $1",
        id
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Standing::from))
}

/// A patron's standing, by the HMAC of the barcode.
pub(crate) async fn find_standing_by_barcode_hmac(
    executor: impl PgExecutor<'_>,
    barcode_hmac: &[u8],
) -> Result<Option<Standing>, sqlx::Error> {
    let row = sqlx::query_as!(
        StandingRow,
        "select id, barcode_hmac, patron_group, expiration_date, active, student_id, affiliation,
                home_library, keeps_history, revision
         from patron where barcode_hmac = $1",
        barcode_hmac
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Standing::from))
}

/// Standings after a patron, by id.
pub(crate) async fn list_standings(
    executor: impl PgExecutor<'_>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Standing>, sqlx::Error> {
    let rows = sqlx::query_as!(
        StandingRow,
        "select id, barcode_hmac, patron_group, expiration_date, active, student_id, affiliation,
                home_library, keeps_history, revision
         from patron where id > $1 order by id limit $2",
        after,
        limit
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Standing::from).collect())
}

/// What a patron chose about the reading history.
pub(crate) async fn history_choice(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<HistoryChoice, sqlx::Error> {
    let row = sqlx::query!(
        "select keeps_history, history_chosen_at from patron where id = $1",
        id
    )
    .fetch_one(connection)
    .await?;
    Ok(HistoryChoice {
        keeps_history: row.keeps_history,
        chosen_at: row.history_chosen_at.map(|at| at.to_jiff()),
    })
}

/// Writes what a patron chose about the reading history.
pub(crate) async fn choose_history(
    connection: &mut PgConnection,
    patron: &Patron,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update patron set keeps_history = $2, history_chosen_at = $3, revision = $4 where id = $1",
        patron.id,
        patron.keeps_history,
        now.to_sqlx() as _,
        patron.revision
    )
    .execute(connection)
    .await
    .map(drop)
}
