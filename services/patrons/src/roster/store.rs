//! All SQL of rosters.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::model::{Counts, Problem, Row};

/// Puts rows aside until the whole file is here. `first` is the place in the
/// file of the first one. Returns the places of those that were taken: not of
/// rows about a patron of an earlier row.
pub(crate) async fn stage(
    executor: impl PgExecutor<'_>,
    load_id: Uuid,
    first: i64,
    rows: &[Row],
    now: Timestamp,
) -> Result<Vec<i64>, sqlx::Error> {
    let numbers: Vec<i64> = (first..).take(rows.len()).collect();
    let lines: Vec<i64> = rows.iter().map(|row| row.line).collect();
    let sources: Vec<String> = rows.iter().map(|row| row.source.clone()).collect();
    let external_ids: Vec<String> = rows.iter().map(|row| row.external_id.clone()).collect();
    let contents: Vec<Vec<u8>> = rows
        .iter()
        .map(|row| serde_json::to_vec(row).expect("a row is plain data"))
        .collect();
    sqlx::query_scalar!(
        "insert into roster_row (load_id, number, line, source, external_id, content, staged_at)
         select $1, number, line, source, external_id, content, $7
         from unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bytea[])
              as row (number, line, source, external_id, content)
         order by number
         on conflict on constraint roster_row_once do nothing
         returning number",
        load_id,
        &numbers,
        &lines,
        &sources,
        &external_ids,
        &contents,
        now.to_sqlx()
    )
    .fetch_all(executor)
    .await
}

/// The next rows of a load in the order of the file, with the last one's place.
pub(crate) async fn staged(
    connection: &mut PgConnection,
    load_id: Uuid,
    after: i64,
    limit: i64,
) -> Result<(Vec<Row>, i64), sqlx::Error> {
    let found = sqlx::query!(
        "select number, content from roster_row
         where load_id = $1 and number > $2 order by number limit $3",
        load_id,
        after,
        limit
    )
    .fetch_all(connection)
    .await?;
    let last = found.last().map_or(after, |row| row.number);
    let rows = found
        .iter()
        .map(|row| serde_json::from_slice(&row.content))
        .collect::<Result<_, _>>()
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok((rows, last))
}

/// Forgets the rows of a load, and those that a dead process left before
/// `horizon`.
pub(crate) async fn discard(
    executor: impl PgExecutor<'_>,
    load_id: Uuid,
    horizon: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from roster_row where load_id = $1 or staged_at < $2",
        load_id,
        horizon.to_sqlx()
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Keeps what a load did, for the answer to a repeated request.
pub(crate) async fn insert_load(
    connection: &mut PgConnection,
    load_id: Uuid,
    loaded_by: &str,
    counts: &Counts,
    problems: &[Problem],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into roster_load (id, loaded_at, loaded_by, read_count, created_count,
             updated_count, unchanged_count, failed_count, deactivated_count)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        load_id,
        now.to_sqlx(),
        loaded_by,
        counts.read,
        counts.created,
        counts.updated,
        counts.unchanged,
        counts.failed,
        counts.deactivated
    )
    .execute(&mut *connection)
    .await?;
    for problems in problems.chunks(1_000) {
        insert_problems(connection, load_id, problems).await?;
    }
    Ok(())
}

async fn insert_problems(
    connection: &mut PgConnection,
    load_id: Uuid,
    problems: &[Problem],
) -> Result<(), sqlx::Error> {
    let lines: Vec<i64> = problems.iter().map(|problem| problem.line).collect();
    let texts = |text: fn(&Problem) -> &str| -> Vec<String> {
        problems
            .iter()
            .map(|problem| text(problem).to_owned())
            .collect()
    };
    sqlx::query!(
        "insert into roster_problem (load_id, line, column_name, reason, description)
         select $1, * from unnest($2::bigint[], $3::text[], $4::text[], $5::text[])",
        load_id,
        &lines,
        &texts(|problem| &problem.column),
        &texts(|problem| &problem.reason),
        &texts(|problem| &problem.description)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What a load did that is known to be kept.
pub(crate) async fn get_load(
    connection: &mut PgConnection,
    load_id: Uuid,
) -> Result<(Counts, Vec<Problem>), sqlx::Error> {
    let load = sqlx::query!(
        "select read_count, created_count, updated_count, unchanged_count, failed_count,
                deactivated_count
         from roster_load where id = $1",
        load_id
    )
    .fetch_one(&mut *connection)
    .await?;
    let problems = sqlx::query!(
        "select line, column_name, reason, description from roster_problem
         where load_id = $1 order by line",
        load_id
    )
    .fetch_all(connection)
    .await?;
    let counts = Counts {
        read: load.read_count,
        created: load.created_count,
        updated: load.updated_count,
        unchanged: load.unchanged_count,
        failed: load.failed_count,
        deactivated: load.deactivated_count,
    };
    let problems = problems
        .into_iter()
        .map(|problem| Problem {
            line: problem.line,
            column: problem.column_name.into(),
            reason: problem.reason.into(),
            description: problem.description.into(),
        })
        .collect();
    Ok((counts, problems))
}
