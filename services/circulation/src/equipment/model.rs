//! Parts and what is owed for them. Pure.

use carrel_money::{Decimal, Money};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;
use crate::policy::model::LostTerms;

/// Parts of one kind that belong to an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KitPart {
    /// Its name.
    pub name: String,
    /// How many.
    pub count: i32,
    /// What one costs; `None`: the policy's damage fee stands for it.
    pub price: Option<Money>,
}

/// Parts that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPart {
    /// The part, by its name.
    pub name: String,
    /// How many.
    pub count: i32,
}

/// A report of damage or missing parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemDamage {
    /// Its id.
    pub id: Uuid,
    /// The loan.
    pub loan_id: Uuid,
    /// The item.
    pub item_id: Uuid,
    /// What was missing.
    pub missing_parts: Vec<MissingPart>,
    /// Whether the item was damaged.
    pub damaged: bool,
    /// What was seen.
    pub comment: String,
    /// What is owed.
    pub fee: Option<Money>,
    /// When it was reported.
    pub reported_at: Timestamp,
}

/// Kinds of parts that one kit has at the most.
const MOST_PARTS: usize = 50;
/// Parts of one kind at the most.
const MOST_OF_ONE: i32 = 1_000;
/// What one part costs at the most, in the main unit.
const LARGEST_PRICE: i64 = 10_000;

/// The rules that a kit must keep to.
///
/// # Errors
/// [`Error::KitMalformed`] for the first one broken.
pub fn check_kit(parts: &[KitPart]) -> Result<(), Error> {
    if parts.len() > MOST_PARTS {
        return Err(Error::KitMalformed("parts".into(), "must be at most 50"));
    }
    let currency = parts.iter().find_map(|part| Some(part.price?.currency()));
    for (index, part) in parts.iter().enumerate() {
        let fault = |name: &str, expected| {
            let field = format!("parts[{index}].{name}");
            Err(Error::KitMalformed(field, expected))
        };
        if parts[..index].iter().any(|other| other.name == part.name) {
            return fault("name", "must be named once in the kit");
        }
        if !(1..=MOST_OF_ONE).contains(&part.count) {
            return fault("count", "must be 1 to 1,000");
        }
        let Some(price) = part.price else { continue };
        if price.is_negative() || price.amount() > LARGEST_PRICE.into() {
            return fault("price", "must be 0 to 10,000");
        }
        if Some(price.currency()) != currency {
            return fault("price", "must have one currency in the kit");
        }
    }
    Ok(())
}

/// What is owed: for missing parts their prices, and the damage fee once for
/// damage and for parts without a price.
///
/// # Errors
/// [`Error::PartUnknown`], [`Error::KitMalformed`]; that of money where prices
/// and fee are of two currencies.
pub fn damage_fee(
    terms: &LostTerms,
    kit: &[KitPart],
    missing: &[MissingPart],
    damaged: bool,
) -> Result<Option<Money>, Error> {
    if missing.is_empty() && !damaged {
        let needed = "is needed where the item is not damaged";
        return Err(Error::KitMalformed("missing_parts".into(), needed));
    }
    let mut fee: Option<Money> = None;
    let mut add = |amount: Money| -> Result<(), Error> {
        fee = Some(fee.map_or(Ok(amount), |fee| fee.plus(amount))?);
        Ok(())
    };
    let mut by_damage_fee = damaged;
    for (index, part) in missing.iter().enumerate() {
        let field = || format!("missing_parts[{index}]");
        if missing[..index].iter().any(|other| other.name == part.name) {
            return Err(Error::KitMalformed(field(), "must be named once"));
        }
        let known = kit.iter().find(|known| known.name == part.name);
        let known = known.filter(|known| (1..=known.count).contains(&part.count));
        let known = known.ok_or_else(|| Error::PartUnknown(field()))?;
        match known.price {
            Some(price) => {
                let amount = price.amount() * Decimal::from(part.count);
                add(Money::new(amount, price.currency())?)?;
            }
            None => by_damage_fee = true,
        }
    }
    if let Some(damage_fee) = terms.damage_fee.filter(|_| by_damage_fee) {
        add(damage_fee)?;
    }
    Ok(fee.filter(|fee| fee.is_positive()))
}

#[cfg(test)]
mod tests {
    use carrel_money::Currency;

    use super::*;

    fn usd(cents: i64) -> Money {
        Money::from_minor(cents, Currency::USD).unwrap()
    }

    fn part(name: &str, count: i32, cents: Option<i64>) -> KitPart {
        KitPart {
            name: name.into(),
            count,
            price: cents.map(usd),
        }
    }

    fn missing(name: &str, count: i32) -> MissingPart {
        MissingPart {
            name: name.into(),
            count,
        }
    }

    #[test]
    fn missing_parts_cost_their_prices_and_damage_is_charged_once() {
        let terms: LostTerms = serde_json::from_value(serde_json::json!({
            "aged_to_lost_after": null, "set_cost": null, "charge_set_cost": false,
            "processing_fee": null, "refund_within": null, "refund_processing_fee": false,
            "damage_fee": "25.00 USD",
        }))
        .unwrap();
        let kit = [
            part("charger", 1, Some(3_550)),
            part("marker", 4, Some(125)),
            part("bag", 1, None),
            part("pen", 1, None),
        ];
        let table = [
            (vec![], true, Some(2_500)),
            (vec![missing("charger", 1)], false, Some(3_550)),
            (vec![missing("marker", 3)], false, Some(375)),
            (
                vec![missing("bag", 1), missing("pen", 1)],
                false,
                Some(2_500),
            ),
            (vec![missing("bag", 1)], true, Some(2_500)),
            (
                vec![missing("charger", 1), missing("marker", 4)],
                true,
                Some(3_550 + 500 + 2_500),
            ),
        ];
        for (lacks, damaged, expected) in table {
            let fee = damage_fee(&terms, &kit, &lacks, damaged).unwrap();
            assert_eq!(fee, expected.map(usd), "{lacks:?} {damaged}");
        }
        let free = LostTerms {
            damage_fee: None,
            ..terms.clone()
        };
        assert_eq!(damage_fee(&free, &kit, &[], true).unwrap(), None);
        for lacks in [
            missing("marker", 5),
            missing("marker", 0),
            missing("dock", 1),
        ] {
            let refused = damage_fee(&terms, &kit, &[lacks], false);
            assert!(matches!(refused, Err(Error::PartUnknown(_))));
        }
        let twice = [missing("bag", 1), missing("bag", 1)];
        for lacks in [&[][..], &twice] {
            let refused = damage_fee(&terms, &kit, lacks, false);
            assert!(matches!(refused, Err(Error::KitMalformed(..))));
        }
    }

    #[test]
    fn a_kit_holds_together() {
        let many: Vec<KitPart> = (0..51).map(|i| part(&format!("p{i}"), 1, None)).collect();
        let eur = Money::from_minor(100, Currency::CAD).unwrap();
        let table = [
            many,
            vec![part("a", 1, None), part("a", 2, None)],
            vec![part("a", 0, None)],
            vec![part("a", 1_001, None)],
            vec![part("a", 1, Some(-1))],
            vec![part("a", 1, Some(1_000_001))],
            vec![
                part("a", 1, Some(1)),
                KitPart {
                    price: Some(eur),
                    ..part("b", 1, None)
                },
            ],
        ];
        for kit in table {
            assert!(
                matches!(check_kit(&kit), Err(Error::KitMalformed(..))),
                "{kit:?}"
            );
        }
        check_kit(&[part("a", 1_000, Some(1_000_000)), part("b", 1, None)]).unwrap();
    }
}
