//! From the item fields of a batch to items: which are new, which are changed,
//! and which can't be taken and why.

use std::collections::HashMap;

use carrel_money::Currency;
use uuid::Uuid;

use super::model::Problem;
use super::profile::ItemField;
use crate::item::{Item, ItemFields, NewItem, code_in, price_in};
use crate::location_unit::store::Shelf;

/// How an item is lent where its record does not say it, which no profile
/// does: what differs by place is for circulation rules to say by the place.
pub(crate) const STANDARD_LOAN_TYPE: &str = "standard";

/// The longest barcode.
const MOST_BARCODE_BYTES: usize = 40;

/// An item field of a batch, with the record it came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described<'a> {
    pub field: &'a ItemField,
    /// The bibliographic record; `None` where it came in a holdings record.
    pub record_id: Option<Uuid>,
    pub offset: i64,
    pub record_number: i64,
}

impl Described<'_> {
    fn problem(&self, reason: &'static str, description: String) -> Problem {
        Problem {
            offset: self.offset,
            record_number: self.record_number,
            reason,
            description,
        }
    }
}

/// The district's locations, found as records name them.
#[derive(Debug)]
pub(crate) struct Locations<'a> {
    shelves: &'a [Shelf],
    by_code: HashMap<&'a str, &'a Shelf>,
    first_of_library: HashMap<&'a str, &'a Shelf>,
}

impl<'a> Locations<'a> {
    /// `shelves` by library and code, so that a library's first is the same
    /// each time.
    pub(crate) fn new(shelves: &'a [Shelf]) -> Self {
        let mut first_of_library = HashMap::new();
        for shelf in shelves {
            first_of_library
                .entry(shelf.library_code.as_str())
                .or_insert(shelf);
        }
        Self {
            shelves,
            by_code: shelves
                .iter()
                .map(|shelf| (shelf.code.as_str(), shelf))
                .collect(),
            first_of_library,
        }
    }

    /// The location that a record names by library and location code. Codes of
    /// locations are unique in the district, those of other systems only in
    /// their library: there "STK" in ALDM is ALDM-STK. Without a location, a
    /// library's first one.
    fn find(&self, library_code: &str, location_code: &str) -> Option<Uuid> {
        if location_code.is_empty() {
            return self
                .first_of_library
                .get(library_code)
                .map(|shelf| shelf.id);
        }
        if library_code.is_empty() {
            return self.by_code.get(location_code).map(|shelf| shelf.id);
        }
        let is_named = |shelf: &&Shelf| {
            shelf.library_code == library_code
                && (shelf.code == location_code
                    || shelf
                        .code
                        .strip_prefix(library_code)
                        .and_then(|rest| rest.strip_prefix('-'))
                        == Some(location_code))
        };
        self.shelves.iter().find(is_named).map(|shelf| shelf.id)
    }
}

/// What is to be done with the items of a batch.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub new: Vec<NewItem>,
    pub changed: Vec<Item>,
    pub problems: Vec<Problem>,
    /// Where each item came from, for a problem that shows later.
    pub places: HashMap<Uuid, (i64, i64)>,
    /// Item fields that were taken, also those that changed nothing.
    pub taken_count: i64,
}

/// The barcodes of a batch that can be one.
pub(crate) fn barcodes(described: &[Described<'_>]) -> Vec<String> {
    let mut barcodes: Vec<String> = described
        .iter()
        .map(|described| described.field.barcode.as_str())
        .filter(|barcode| is_barcode(barcode))
        .map(str::to_owned)
        .collect();
    barcodes.sort_unstable();
    barcodes.dedup();
    barcodes
}

fn is_barcode(text: &str) -> bool {
    (1..=MOST_BARCODE_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Decides what becomes of each item field, in the order of the file.
/// `existing` are the items that have these barcodes now.
pub(crate) fn plan(
    described: &[Described<'_>],
    existing: &[Item],
    locations: &Locations<'_>,
    currency: Currency,
) -> Plan {
    let mut plan = Plan::default();
    let mut known: HashMap<&str, Known> = existing
        .iter()
        .filter_map(|item| Some((item.fields.barcode.as_deref()?, Known::Existing(item))))
        .collect();
    for described in described {
        let field = described.field;
        match read(described, locations, currency, &mut plan.problems) {
            Err(problem) => plan.problems.push(problem),
            Ok((record_id, fields)) => match known.get(field.barcode.as_str()).copied() {
                None => {
                    let id = carrel_ids::new_id();
                    known.insert(
                        &field.barcode,
                        Known::New {
                            at: plan.new.len(),
                            record_id,
                        },
                    );
                    plan.places
                        .insert(id, (described.offset, described.record_number));
                    plan.new.push(NewItem {
                        id,
                        record_id,
                        fields,
                    });
                    plan.taken_count += 1;
                }
                Some(Known::New {
                    at,
                    record_id: owner,
                }) if owner == record_id => {
                    plan.new[at].fields = fields;
                    plan.taken_count += 1;
                }
                Some(Known::Changed {
                    at,
                    record_id: owner,
                }) if owner == record_id => {
                    let item = &mut plan.changed[at];
                    item.fields = reloaded(item, fields);
                    plan.taken_count += 1;
                }
                Some(Known::Existing(item)) if item.record_id == record_id => {
                    let fields = reloaded(item, fields);
                    plan.taken_count += 1;
                    if fields != item.fields {
                        known.insert(
                            &field.barcode,
                            Known::Changed {
                                at: plan.changed.len(),
                                record_id,
                            },
                        );
                        plan.changed.push(Item {
                            fields,
                            ..item.clone()
                        });
                    }
                }
                Some(_) => plan
                    .problems
                    .push(barcode_taken(described.offset, described.record_number)),
            },
        }
    }
    plan
}

/// Who has a barcode.
#[derive(Debug, Clone, Copy)]
enum Known<'a> {
    Existing(&'a Item),
    New { at: usize, record_id: Uuid },
    Changed { at: usize, record_id: Uuid },
}

/// The problem of an item whose barcode an item of another record has.
pub(crate) fn barcode_taken(offset: i64, record_number: i64) -> Problem {
    Problem {
        offset,
        record_number,
        reason: "ITEM_BARCODE_TAKEN",
        description: "an item of another record has the barcode".into(),
    }
}

/// An existing item after a load: what staff set and no record says stays.
fn reloaded(item: &Item, fields: ItemFields) -> ItemFields {
    ItemFields {
        status: item.fields.status.after_load(fields.status),
        loan_type: item.fields.loan_type.clone(),
        replacement_price: fields.replacement_price.or(item.fields.replacement_price),
        ..fields
    }
}

/// Reads an item field. A price that can't be read is a problem, but the item
/// is taken without it.
fn read(
    described: &Described<'_>,
    locations: &Locations<'_>,
    currency: Currency,
    problems: &mut Vec<Problem>,
) -> Result<(Uuid, ItemFields), Problem> {
    let field = described.field;
    let record_id = described.record_id.ok_or_else(|| {
        let description = format!(
            "{} stands in a holdings record, which has no items here yet",
            field.tag
        );
        described.problem("ITEM_IN_HOLDINGS_RECORD", description)
    })?;
    if field.barcode.is_empty() {
        let description = format!(
            "{} has no barcode, by which the item could be known again",
            field.tag
        );
        return Err(described.problem("ITEM_BARCODE_MISSING", description));
    }
    if !is_barcode(&field.barcode) {
        let description = format!(
            "the barcode in {} is not 1 to 40 printable ASCII characters without spaces",
            field.tag
        );
        return Err(described.problem("ITEM_BARCODE_MALFORMED", description));
    }
    let location_id = locations
        .find(&field.library_code, &field.location_code)
        .ok_or_else(|| {
            let description = format!(
                "{} names library '{}' and location '{}', which the catalog does not have",
                field.tag, field.library_code, field.location_code
            );
            described.problem("ITEM_LOCATION_UNKNOWN", description)
        })?;
    let price = price_in(&field.price, currency);
    if price.is_none() && !field.price.is_empty() {
        let description = format!(
            "{} has the price '{}'; the item was taken without it",
            field.tag, field.price
        );
        problems.push(described.problem("ITEM_PRICE_UNREADABLE", description));
    }
    let fields = ItemFields {
        barcode: Some(field.barcode.clone()),
        status: field.status,
        material_type: code_in(&field.material_type)
            .unwrap_or_else(|| field.default_material_type.to_owned()),
        loan_type: STANDARD_LOAN_TYPE.to_owned(),
        location_id,
        call_number: field.call_number.clone(),
        copy_number: field.copy_number.clone(),
        replacement_price: price,
    };
    Ok((record_id, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_found_as_other_systems_name_it() {
        let shelf = |library: &str, code: &str| Shelf {
            id: carrel_ids::new_id(),
            code: code.into(),
            library_code: library.into(),
        };
        let shelves = [
            shelf("ALDM", "ALDM-RES"),
            shelf("ALDM", "ALDM-STK"),
            shelf("TULL", "TULL-STK"),
        ];
        let locations = Locations::new(&shelves);
        for (library, location, found) in [
            ("ALDM", "ALDM-STK", Some(1)),
            ("ALDM", "STK", Some(1)),
            ("TULL", "STK", Some(2)),
            ("", "TULL-STK", Some(2)),
            ("ALDM", "", Some(0)),
            ("ALDM", "TULL-STK", None),
            ("ALDM", "MED", None),
            ("ALD", "M-STK", None),
            ("", "STK", None),
            ("", "", None),
            ("NONE", "", None),
        ] {
            let expected = found.map(|at: usize| shelves[at].id);
            assert_eq!(
                locations.find(library, location),
                expected,
                "{library} {location}"
            );
        }
    }
}
