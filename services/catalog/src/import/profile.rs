//! Load profiles: which fields of a record are its items.
//!
//! - `koha-952`: Koha's item field. $a home library, $b holding library,
//!   $c location, $o call number, $p barcode, $t copy, $v replacement price,
//!   $y item type, $0 withdrawn, $1 lost, $4 damaged, $7 not for loan.
//! - `marc-852`: MARC 21 holdings with the barcode in the location itself.
//!   $b library, $c location, $k $h $i $m call number, $p barcode, $t copy.
//! - `marc-876`: an 852 for the place, and a linked ($8) 876 for each item:
//!   $p barcode, $c cost, $t copy, $j status.

use carrel_marc::{DataField, Decoded, Record as Marc};

use crate::item::ItemStatus;
use crate::record::index::storable;
use crate::record::{Format, Kind};

/// A load profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadProfile {
    /// 952 where a record has it, else 852 and 876.
    Auto,
    Koha952,
    Marc852,
    Marc876,
    /// No items.
    None,
}

impl LoadProfile {
    const ALL: [Self; 5] = [
        Self::Auto,
        Self::Koha952,
        Self::Marc852,
        Self::Marc876,
        Self::None,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Koha952 => "koha-952",
            Self::Marc852 => "marc-852",
            Self::Marc876 => "marc-876",
            Self::None => "none",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// An item as a record describes it. Texts are as in the record, trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemField {
    pub tag: &'static str,
    pub barcode: String,
    pub library_code: String,
    pub location_code: String,
    pub call_number: String,
    pub copy_number: String,
    /// Empty where the record does not say it.
    pub material_type: String,
    /// What to take where it does not.
    pub default_material_type: &'static str,
    pub price: String,
    pub status: ItemStatus,
}

/// The items that a record describes. Holdings records describe them too, but
/// belong to a record that is somewhere else; authorities have none.
pub(crate) fn items(profile: LoadProfile, decoded: &Decoded) -> Vec<ItemField> {
    let record = &decoded.record;
    if !matches!(
        Kind::of(&record.leader),
        Kind::Bibliographic | Kind::Holdings
    ) {
        return Vec::new();
    }
    let default_type = Format::of(&record.leader).material_type(record);
    let mut items = match profile {
        LoadProfile::None => Vec::new(),
        LoadProfile::Koha952 => koha_952(record),
        LoadProfile::Marc852 => marc_852(record),
        LoadProfile::Marc876 => marc_876(record),
        LoadProfile::Auto => {
            let mut items = koha_952(record);
            if items.is_empty() {
                items = marc_852(record);
                items.extend(marc_876(record));
            }
            items
        }
    };
    for item in &mut items {
        item.default_material_type = default_type;
    }
    items
}

fn value(field: &DataField, code: char) -> String {
    field
        .value(code)
        .map(|value| storable(value.trim()))
        .unwrap_or_default()
}

/// 952 is a local field: without a barcode or a library it is another system's.
fn koha_952(record: &Marc) -> Vec<ItemField> {
    let is_item = |field: &&DataField| {
        ['p', 'a', 'b']
            .iter()
            .any(|code| !value(field, *code).is_empty())
    };
    record
        .fields("952")
        .filter(is_item)
        .map(|field| {
            let home = value(field, 'a');
            ItemField {
                tag: "952",
                barcode: value(field, 'p'),
                library_code: if home.is_empty() {
                    value(field, 'b')
                } else {
                    home
                },
                location_code: value(field, 'c'),
                call_number: value(field, 'o'),
                copy_number: value(field, 't'),
                material_type: value(field, 'y'),
                default_material_type: "",
                price: value(field, 'v'),
                status: koha_status(field),
            }
        })
        .collect()
}

/// Koha's flags: 0 or nothing is no, anything else is one of the site's values.
fn koha_status(field: &DataField) -> ItemStatus {
    let flag = |code| Some(value(field, code)).filter(|value| !value.is_empty() && value != "0");
    match (flag('0'), flag('1'), flag('7'), flag('4')) {
        (Some(_), ..) => ItemStatus::Withdrawn,
        (_, Some(_), ..) => ItemStatus::Missing,
        // -1 is Koha's own value for an item on order.
        (_, _, Some(value), _) if value == "-1" => ItemStatus::OnOrder,
        (.., Some(_)) => ItemStatus::InRepair,
        (_, _, Some(_), _) => ItemStatus::Restricted,
        _ => ItemStatus::Available,
    }
}

/// An 852 without a barcode is a place only.
fn marc_852(record: &Marc) -> Vec<ItemField> {
    record
        .fields("852")
        .filter(|field| !value(field, 'p').is_empty())
        .map(|field| ItemField {
            barcode: value(field, 'p'),
            copy_number: value(field, 't'),
            ..place(Some(field), "852")
        })
        .collect()
}

fn marc_876(record: &Marc) -> Vec<ItemField> {
    let places: Vec<&DataField> = record.fields("852").collect();
    record
        .fields("876")
        .filter(|field| !value(field, 'p').is_empty())
        .map(|field| {
            let link = link(field);
            let linked = places
                .iter()
                .find(|place| !link.is_empty() && self::link(place) == link);
            // With a single place there is nothing to confuse.
            let place = linked.or_else(|| places.first().filter(|_| places.len() == 1));
            ItemField {
                barcode: value(field, 'p'),
                copy_number: value(field, 't'),
                price: value(field, 'c'),
                status: status_876(&value(field, 'j')),
                ..self::place(place.copied(), "876")
            }
        })
        .collect()
}

/// $8 links fields: what stands before the point and the backslash.
fn link(field: &DataField) -> String {
    let link = value(field, '8');
    link.split(['.', '\\'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn status_876(text: &str) -> ItemStatus {
    let text = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["withdrawn", "discard"]) {
        ItemStatus::Withdrawn
    } else if says(&["missing", "lost"]) {
        ItemStatus::Missing
    } else if says(&["on order"]) {
        ItemStatus::OnOrder
    } else if says(&["in process", "cataloging"]) {
        ItemStatus::InProcess
    } else if says(&["repair", "bindery", "damaged"]) {
        ItemStatus::InRepair
    } else if says(&["not for loan", "reference", "restricted"]) {
        ItemStatus::Restricted
    } else {
        ItemStatus::Available
    }
}

/// What an 852 says of the place.
fn place(field: Option<&DataField>, tag: &'static str) -> ItemField {
    let read = |code| field.map(|field| value(field, code)).unwrap_or_default();
    let parts = ['k', 'h', 'i', 'm'].map(read);
    let call_number: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    ItemField {
        tag,
        barcode: String::new(),
        library_code: read('b'),
        location_code: read('c'),
        call_number: call_number.join(" "),
        copy_number: String::new(),
        material_type: String::new(),
        default_material_type: "",
        price: String::new(),
        status: ItemStatus::Available,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrel_marc::{Leader, Tag};

    fn decoded(leader: &[u8; 24], fields: &[(&str, &[(char, &str)])]) -> Decoded {
        let mut record = Marc::new(Leader::from_bytes(leader).0);
        for (tag, subfields) in fields {
            record.push_data(Tag::new(tag).unwrap(), [' ', ' '], subfields);
        }
        Decoded {
            record,
            warnings: Vec::new(),
        }
    }

    const BOOK: &[u8; 24] = b"00000nam a2200000 i 4500";

    #[test]
    fn kohas_952_is_an_item() {
        let record = decoded(
            BOOK,
            &[
                (
                    "952",
                    &[
                        ('0', "0"),
                        ('1', "0"),
                        ('7', "0"),
                        ('a', "ALDM"),
                        ('b', "TULL"),
                        ('c', "ALDM-STK"),
                        ('o', "PS2384 .T8"),
                        ('p', " 3041 "),
                        ('t', "1"),
                        ('v', "43.45"),
                        ('y', "BK"),
                    ],
                ),
                ("952", &[('1', "2"), ('b', "ALDM"), ('p', "2")]),
                ("952", &[('7', "-1"), ('a', "ALDM"), ('p', "3")]),
                ("952", &[('4', "1"), ('7', "1"), ('a', "ALDM"), ('p', "4")]),
                ("952", &[('j', "another system's")]),
                ("852", &[('b', "ALDM"), ('p', "not this")]),
            ],
        );
        let items = items(LoadProfile::Auto, &record);
        assert_eq!(items.len(), 4);
        let first = &items[0];
        assert_eq!(
            (
                first.barcode.as_str(),
                first.library_code.as_str(),
                first.location_code.as_str()
            ),
            ("3041", "ALDM", "ALDM-STK")
        );
        assert_eq!(
            (
                first.material_type.as_str(),
                first.default_material_type,
                first.price.as_str()
            ),
            ("BK", "book", "43.45")
        );
        let statuses: Vec<ItemStatus> = items.iter().map(|item| item.status).collect();
        assert_eq!(
            statuses,
            [
                ItemStatus::Available,
                ItemStatus::Missing,
                ItemStatus::OnOrder,
                ItemStatus::InRepair
            ]
        );
        assert_eq!(items[1].library_code, "ALDM");
    }

    #[test]
    fn holdings_give_the_place_and_876_the_copies() {
        let record = decoded(
            BOOK,
            &[
                (
                    "852",
                    &[
                        ('b', "ALDM"),
                        ('c', "ALDM-STK"),
                        ('h', "PS2384"),
                        ('i', ".T8"),
                        ('p', "1"),
                        ('t', "1"),
                    ],
                ),
                (
                    "852",
                    &[
                        ('8', "2"),
                        ('b', "TULL"),
                        ('c', "TULL-STK"),
                        ('k', "Oversize"),
                        ('h', "PS1"),
                    ],
                ),
                (
                    "876",
                    &[
                        ('8', "2.1\\x"),
                        ('p', "2"),
                        ('c', "$12.00"),
                        ('j', "Missing"),
                    ],
                ),
                ("876", &[('8', "9"), ('p', "3"), ('j', "Available")]),
            ],
        );
        let items = items(LoadProfile::Auto, &record);
        let described: Vec<(&str, &str, &str)> = items
            .iter()
            .map(|item| {
                (
                    item.barcode.as_str(),
                    item.location_code.as_str(),
                    item.call_number.as_str(),
                )
            })
            .collect();
        assert_eq!(
            described,
            [
                ("1", "ALDM-STK", "PS2384 .T8"),
                ("2", "TULL-STK", "Oversize PS1"),
                ("3", "", "")
            ]
        );
        assert_eq!(items[1].status, ItemStatus::Missing);
        assert_eq!(super::items(LoadProfile::Marc852, &record).len(), 1);
        assert_eq!(super::items(LoadProfile::Marc876, &record).len(), 2);
        assert!(super::items(LoadProfile::None, &record).is_empty());
        assert!(super::items(LoadProfile::Koha952, &record).is_empty());
    }

    #[test]
    fn an_authority_has_no_items() {
        let record = decoded(
            b"00000nz  a2200000n  4500",
            &[("952", &[('a', "ALDM"), ('p', "1")])],
        );
        assert!(items(LoadProfile::Auto, &record).is_empty());
    }
}
