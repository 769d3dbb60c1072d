//! The life of an item, and what an item is.

use carrel_money::{Currency, Money};
use uuid::Uuid;

/// Where an item is in its life, as far as the catalog decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemStatus {
    Available,
    OnOrder,
    InProcess,
    InRepair,
    Missing,
    Restricted,
    Withdrawn,
}

impl ItemStatus {
    pub(crate) const ALL: [Self; 7] = [
        Self::Available,
        Self::OnOrder,
        Self::InProcess,
        Self::InRepair,
        Self::Missing,
        Self::Restricted,
        Self::Withdrawn,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::OnOrder => "on_order",
            Self::InProcess => "in_process",
            Self::InRepair => "in_repair",
            Self::Missing => "missing",
            Self::Restricted => "restricted",
            Self::Withdrawn => "withdrawn",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether an item may go from this status to another. What is here never
    /// is on order again, what is on order can't be missing or in repair, and
    /// what was withdrawn comes back through processing only.
    pub(crate) fn may_become(self, to: Self) -> bool {
        self == to
            || match self {
                Self::OnOrder => {
                    matches!(
                        to,
                        Self::InProcess | Self::Available | Self::Restricted | Self::Withdrawn
                    )
                }
                Self::InProcess
                | Self::Available
                | Self::InRepair
                | Self::Missing
                | Self::Restricted => to != Self::OnOrder,
                Self::Withdrawn => to == Self::InProcess,
            }
    }

    /// The status after a load that says `loaded`. A load never brings an item
    /// back: what staff know (missing, in repair) is newer than the file.
    pub(crate) fn after_load(self, loaded: Self) -> Self {
        if loaded != Self::Available && self.may_become(loaded) {
            loaded
        } else {
            self
        }
    }
}

/// What circulation says of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Availability {
    In,
    CheckedOut,
    AgedToLost,
    ClaimedReturned,
    DeclaredLost,
    AwaitingPickup,
    InTransit,
    Paged,
    Missing,
    LostAndPaid,
    AwaitingDelivery,
}

impl Availability {
    const ALL: [Self; 11] = [
        Self::In,
        Self::CheckedOut,
        Self::AgedToLost,
        Self::ClaimedReturned,
        Self::DeclaredLost,
        Self::AwaitingPickup,
        Self::InTransit,
        Self::Paged,
        Self::Missing,
        Self::LostAndPaid,
        Self::AwaitingDelivery,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::CheckedOut => "checked_out",
            Self::AgedToLost => "aged_to_lost",
            Self::ClaimedReturned => "claimed_returned",
            Self::DeclaredLost => "declared_lost",
            Self::AwaitingPickup => "awaiting_pickup",
            Self::InTransit => "in_transit",
            Self::Paged => "paged",
            Self::Missing => "missing",
            Self::LostAndPaid => "lost_and_paid",
            Self::AwaitingDelivery => "awaiting_delivery",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|availability| availability.name() == name)
    }
}

/// What of an item can be set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ItemFields {
    pub barcode: Option<String>,
    pub status: ItemStatus,
    pub material_type: String,
    pub loan_type: String,
    pub location_id: Uuid,
    pub call_number: String,
    pub copy_number: String,
    pub replacement_price: Option<Money>,
}

/// A copy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub id: Uuid,
    pub record_id: Uuid,
    pub fields: ItemFields,
    pub availability: Availability,
    pub revision: i64,
}

impl Item {
    /// Changes with each revision (AIP-154).
    pub(crate) fn etag(&self) -> String {
        self.revision.to_string()
    }
}

/// A price in a record, such as "$24.95", "24.95 USD" or "1,250.00"; `None`
/// where it can't be read to the cent. There must be one number and no more:
/// "$25 (1998)" names a price and a year, and a person has to say which.
pub(crate) fn price_in(text: &str, currency: Currency) -> Option<Money> {
    let number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let (before, rest) = text.split_at(start);
    let end = rest.find(|c| !number(c)).unwrap_or(rest.len());
    let (amount, after) = rest.split_at(end);
    let has_more = before.contains(['-', '.', ',']) || after.contains(|c: char| c.is_ascii_digit());
    if has_more {
        return None;
    }
    let amount = amount.trim_end_matches(['.', ',']);
    let plain = match (amount.rsplit_once(','), amount.contains('.')) {
        (None, _) => amount.to_owned(),
        // A comma before two digits at the end is a decimal comma.
        (Some((whole, cents)), false) if cents.len() == 2 && !whole.contains(',') => {
            format!("{whole}.{cents}")
        }
        _ => without_grouping(amount)?,
    };
    Money::new(plain.parse().ok()?, currency).ok()
}

/// "1,250.00" without its commas, which must stand before groups of three.
fn without_grouping(amount: &str) -> Option<String> {
    let (whole, cents) = amount.split_once('.').unwrap_or((amount, ""));
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let sound = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    (sound && !cents.contains(',')).then(|| amount.replace(',', ""))
}

/// A code of circulation rules from what a record says: lower case, and a
/// hyphen for whatever is no letter or digit; `None` where nothing is left.
pub(crate) fn code_in(text: &str) -> Option<String> {
    let code: String = text
        .trim()
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    let code = code.trim_matches('-');
    (!code.is_empty()).then(|| code.to_owned())
}

/// Whether a text is such a code.
pub(crate) fn is_code(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_lives_forward() {
        use ItemStatus::{Available, InProcess, InRepair, Missing, OnOrder, Restricted, Withdrawn};
        for status in ItemStatus::ALL {
            assert!(status.may_become(status));
            assert_eq!(ItemStatus::from_name(status.name()), Some(status));
            assert_eq!(status.may_become(OnOrder), status == OnOrder, "{status:?}");
            assert!(status.may_become(Withdrawn));
        }
        for (from, to, allowed) in [
            (OnOrder, InProcess, true),
            (OnOrder, Missing, false),
            (OnOrder, InRepair, false),
            (InProcess, Available, true),
            (Available, InRepair, true),
            (InRepair, Available, true),
            (Missing, Available, true),
            (Restricted, Available, true),
            (Withdrawn, InProcess, true),
            (Withdrawn, Available, false),
        ] {
            assert_eq!(from.may_become(to), allowed, "{from:?} {to:?}");
        }
    }

    #[test]
    fn a_load_never_brings_an_item_back() {
        assert_eq!(
            ItemStatus::Missing.after_load(ItemStatus::Available),
            ItemStatus::Missing
        );
        assert_eq!(
            ItemStatus::Available.after_load(ItemStatus::Withdrawn),
            ItemStatus::Withdrawn
        );
        assert_eq!(
            ItemStatus::Withdrawn.after_load(ItemStatus::Missing),
            ItemStatus::Withdrawn
        );
        assert_eq!(
            ItemStatus::Available.after_load(ItemStatus::OnOrder),
            ItemStatus::Available
        );
    }

    #[test]
    fn prices_are_read_as_records_have_them() {
        let cents = |text| price_in(text, Currency::USD).map(|money| money.to_string());
        for (text, expected) in [
            ("24.95", Some("24.95 USD")),
            ("$24.95", Some("24.95 USD")),
            ("USD 1,250.00", Some("1250.00 USD")),
            ("24,95", Some("24.95 USD")),
            ("30", Some("30.00 USD")),
            ("0.005", None),
            ("-3.00", None),
            ("free", None),
            ("1.2.3", None),
            ("$25 (1998)", None),
            ("2 discs 40", None),
            ("1.250,00", None),
            ("12,5", None),
            ("1,25,000", None),
            ("$24.95.", Some("24.95 USD")),
            ("99999999999999999999999999999999999", None),
        ] {
            assert_eq!(cents(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn codes_of_other_systems_become_codes_of_rules() {
        assert_eq!(code_in(" BK ").as_deref(), Some("bk"));
        assert_eq!(code_in("Audio Book/CD").as_deref(), Some("audio-book-cd"));
        assert_eq!(code_in("§").as_deref(), None);
        assert!(is_code("book") && !is_code("Book") && !is_code(""));
    }
}
