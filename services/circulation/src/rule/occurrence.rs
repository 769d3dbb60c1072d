//! Which combinations of what rules look at really occur, from the
//! projections of items and patrons.

use carrel_proto::catalog::v1::{ItemStatus, LocationUnitKind};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::criterium::Criterium;
use super::model::Combination;
use super::store::LocationPath;

/// Which combinations are looked at; empty: any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A patron group.
    pub patron_group: String,
    /// A material type.
    pub material_type: String,
    /// A loan type.
    pub loan_type: String,
    /// A location.
    pub location_id: Option<Uuid>,
}

/// Where a combination stands in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    patron_group: String,
    material_type: String,
    loan_type: String,
    location_code: String,
    location_id: Uuid,
}

/// A combination that occurs.
#[derive(Debug)]
pub struct Occurrence {
    /// The patron group.
    pub patron_group: String,
    /// The material type.
    pub material_type: String,
    /// The loan type.
    pub loan_type: String,
    /// The location.
    pub location_id: Option<Uuid>,
    /// Its code and those of all that it is in.
    pub(crate) path: LocationPath,
    /// How many items are of this kind.
    pub items: i64,
    /// How many patrons are in the group.
    pub patrons: i64,
}

impl Occurrence {
    /// What rules look at.
    #[must_use]
    pub fn combination(&self) -> Combination<'_> {
        Combination {
            patron_group: Some(&self.patron_group),
            material_type: Some(&self.material_type),
            loan_type: Some(&self.loan_type),
            ..self.path.combination()
        }
    }

    /// Its place in the order.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            patron_group: self.patron_group.clone(),
            material_type: self.material_type.clone(),
            loan_type: self.loan_type.clone(),
            location_code: self.path.location_code.clone().unwrap_or_default(),
            location_id: self.location_id.unwrap_or_default(),
        }
    }
}

impl LocationPath {
    /// The places that rules look at.
    pub(crate) fn combination(&self) -> Combination<'_> {
        Combination {
            location: self.location_code.as_deref(),
            library: self.library_code.as_deref(),
            campus: self.campus_code.as_deref(),
            institution: self.institution_code.as_deref(),
            ..Combination::default()
        }
    }
}

/// Combinations after a place, in order. Items and patrons are grouped first,
/// each once, so that the groups and not the rows are combined. Who can't
/// borrow and what can't be lent for good doesn't count.
pub(crate) async fn list(
    connection: &mut PgConnection,
    filter: &Filter,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<Occurrence>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with kind as materialized (
             select material_type, loan_type, location_id, count(*) as items
             from item_projection
             where status <> $1 and ($3 = '' or material_type = $3) and ($4 = '' or loan_type = $4)
               and ($5::uuid is null or location_id = $5)
             group by material_type, loan_type, location_id
         ), placed as materialized (
             select kind.*, path.location_code, path.library_code, path.campus_code, path.institution_code,
                    coalesce(path.location_code, '') as code_key,
                    coalesce(kind.location_id, '00000000-0000-0000-0000-000000000000') as id_key
             from kind left join location_path path on path.location_id = kind.location_id
         ), people as materialized (
             select patron_group, count(*) as patrons from patron_projection
             where active and ($2 = '' or patron_group = $2)
             group by patron_group
         )
         select people.patron_group as "patron_group!", people.patrons as "patrons!",
                placed.material_type as "material_type!", placed.loan_type as "loan_type!",
                placed.location_id as "location_id?", placed.items as "items!",
                placed.location_code as "location_code?", placed.library_code as "library_code?",
                placed.campus_code as "campus_code?", placed.institution_code as "institution_code?"
         from people cross join placed
         where $6::text is null
            or (people.patron_group, placed.material_type, placed.loan_type, placed.code_key, placed.id_key)
               > ($6, $7, $8, $9, $10)
         order by people.patron_group, placed.material_type, placed.loan_type, placed.code_key, placed.id_key
         limit $11"#,
        ItemStatus::Withdrawn as i16,
        filter.patron_group,
        filter.material_type,
        filter.loan_type,
        filter.location_id,
        after.map(|after| after.patron_group.as_str()),
        after.map(|after| after.material_type.as_str()),
        after.map(|after| after.loan_type.as_str()),
        after.map(|after| after.location_code.as_str()),
        after.map(|after| after.location_id),
        limit,
    )
    .fetch_all(connection)
    .await?;
    let occurrences = rows.into_iter().map(|row| Occurrence {
        patron_group: row.patron_group,
        material_type: row.material_type,
        loan_type: row.loan_type,
        location_id: row.location_id,
        path: LocationPath {
            location_code: row.location_code,
            library_code: row.library_code,
            campus_code: row.campus_code,
            institution_code: row.institution_code,
        },
        items: row.items,
        patrons: row.patrons,
    });
    Ok(occurrences.collect())
}

/// Of codes that rules name, those that nothing has.
pub(crate) async fn unknown_codes(
    connection: &mut PgConnection,
    codes: &[(Criterium, &str)],
) -> Result<Vec<(Criterium, String)>, sqlx::Error> {
    let letters: Vec<String> = codes
        .iter()
        .map(|(criterium, _)| criterium.letter().to_string())
        .collect();
    let codes: Vec<String> = codes.iter().map(|(_, code)| (*code).to_owned()).collect();
    let kinds = [
        LocationUnitKind::Location,
        LocationUnitKind::Library,
        LocationUnitKind::Campus,
        LocationUnitKind::Institution,
    ]
    .map(|kind| kind as i16);
    let unknown = sqlx::query!(
        r#"select letter as "letter!", code as "code!" from unnest($1::text[], $2::text[]) as named (letter, code)
         except
         (select 'g', patron_group from patron_projection
          union select 'm', material_type from item_projection
          union select 't', loan_type from item_projection
          union select (array['s', 'c', 'b', 'a'])[array_position($3::smallint[], kind)], code
          from location_projection)"#,
        &letters,
        &codes,
        &kinds[..],
    )
    .fetch_all(connection)
    .await?;
    let unknown = unknown
        .into_iter()
        .filter_map(|row| Some((Criterium::of(&row.letter)?, row.code)));
    Ok(unknown.collect())
}
