//! The copies of a title, as requests see them.

use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1::CirculationItemStatus;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::is_in;
use crate::loan::store::ItemAtDesk;
use crate::rule::model::Combination;
use crate::rule::store::LocationPath;

/// An item of a title.
#[derive(Debug)]
pub(crate) struct TitleItem {
    pub item_id: Uuid,
    pub record_id: Option<Uuid>,
    pub catalog_status: ItemStatus,
    pub material_type: String,
    pub loan_type: String,
    pub call_number_class: String,
    pub open_loan_id: Option<Uuid>,
    pub status: CirculationItemStatus,
    pub held_request_id: Option<Uuid>,
    pub path: LocationPath,
}

impl TitleItem {
    /// Whether it can be fetched from its shelf.
    pub(crate) fn is_in(&self) -> bool {
        is_in(self.catalog_status, self.status, self.held_request_id)
    }

    pub(crate) fn traits(&self) -> Traits<'_> {
        Traits {
            item_id: self.item_id,
            material_type: &self.material_type,
            loan_type: &self.loan_type,
            path: &self.path,
        }
    }
}

/// What circulation rules look at in an item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traits<'a> {
    pub item_id: Uuid,
    pub material_type: &'a str,
    pub loan_type: &'a str,
    pub path: &'a LocationPath,
}

impl<'a> Traits<'a> {
    pub(crate) fn of(item: &'a ItemAtDesk) -> Self {
        Self {
            item_id: item.item_id,
            material_type: &item.material_type,
            loan_type: &item.loan_type,
            path: &item.path,
        }
    }

    /// Its library's code; "" where unknown.
    pub(crate) fn library(&self) -> &'a str {
        self.path.library_code.as_deref().unwrap_or_default()
    }

    pub(crate) fn combination(&self, patron_group: &'a str) -> Combination<'a> {
        Combination {
            patron_group: Some(patron_group),
            material_type: Some(self.material_type),
            loan_type: Some(self.loan_type),
            location: self.path.location_code.as_deref(),
            library: self.path.library_code.as_deref(),
            campus: self.path.campus_code.as_deref(),
            institution: self.path.institution_code.as_deref(),
        }
    }
}

/// The item with a barcode, and its title; no lock.
pub(crate) async fn find_by_barcode(
    connection: &mut PgConnection,
    barcode: &str,
) -> Result<Option<(Uuid, Option<Uuid>)>, sqlx::Error> {
    let row = sqlx::query!(
        "select item_id, record_id from item_projection
         where barcode = $1 and barcode <> '' order by place desc limit 1",
        barcode,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.item_id, row.record_id)))
}

/// Locks all items of a title, in the order that everybody keeps to.
pub(crate) async fn lock_title(
    connection: &mut PgConnection,
    record_id: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select c.item_id
         from item_projection p join item_circulation c on c.item_id = p.item_id
         where p.record_id = $1 order by c.item_id for update of c",
        record_id,
    )
    .fetch_all(connection)
    .await
}

/// Locks one item.
pub(crate) async fn lock_item(
    connection: &mut PgConnection,
    item_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select item_id from item_circulation where item_id = $1 for update",
        item_id
    )
    .fetch_all(connection)
    .await
    .map(drop)
}

/// Items by their ids, in the order of the ids. Read after they were locked,
/// since the statement that waits for a lock sees what was there before.
pub(crate) async fn find_all(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<TitleItem>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select p.item_id, p.record_id, p.status as catalog_status, p.material_type, p.loan_type,
                p.call_number_class, c.open_loan_id, c.status, c.held_request_id,
                path.location_code as "location_code?", path.library_code as "library_code?",
                path.campus_code as "campus_code?", path.institution_code as "institution_code?"
         from item_projection p
         join item_circulation c on c.item_id = p.item_id
         left join location_path path on path.location_id = p.location_id
         where p.item_id = any($1) order by p.item_id"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    let copies = rows.into_iter().map(|row| TitleItem {
        item_id: row.item_id,
        record_id: row.record_id,
        catalog_status: i32::from(row.catalog_status).try_into().unwrap_or_default(),
        material_type: row.material_type,
        loan_type: row.loan_type,
        call_number_class: row.call_number_class,
        open_loan_id: row.open_loan_id,
        status: i32::from(row.status).try_into().unwrap_or_default(),
        held_request_id: row.held_request_id,
        path: LocationPath {
            location_code: row.location_code,
            library_code: row.library_code,
            campus_code: row.campus_code,
            institution_code: row.institution_code,
        },
    });
    Ok(copies.collect())
}
