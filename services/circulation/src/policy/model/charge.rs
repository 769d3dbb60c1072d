//! What late and lost items cost: the terms of overdue fine and lost item policies.

use carrel_money::Money;
use serde::{Deserialize, Serialize};

use super::{PolicyKind, Terms, TermsFault, fault};
use crate::period::{Period, PeriodUnit};

/// The largest amount that a policy may name, in the main unit. With it no
/// fine of a human life's length passes what the database keeps.
const LARGEST_AMOUNT: i64 = 10_000;

fn check_amount(field: &'static str, amount: Money) -> Result<(), TermsFault> {
    if amount.is_negative() || amount.amount() > LARGEST_AMOUNT.into() {
        return fault(field, "must be 0 to 10,000");
    }
    Ok(())
}

/// What an overdue item costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FineTerms {
    /// The fine for each interval begun.
    #[serde(with = "money_text")]
    pub amount: Money,
    /// The interval.
    pub interval: Period,
    /// The most for one loan.
    #[serde(with = "money_text::optional")]
    pub maximum: Option<Money>,
    /// Whether closed hours or days count.
    pub count_closed: bool,
    /// Whether a loan that becomes lost owes no overdue fine.
    pub forgive_when_lost: bool,
    /// The fine for each interval begun of a loan that was recalled; `None`:
    /// the same.
    #[serde(default, with = "money_text::optional")]
    pub recall_amount: Option<Money>,
    /// Its interval; `None`: the same.
    #[serde(default)]
    pub recall_interval: Option<Period>,
    /// Its maximum; `None`: the same.
    #[serde(default, with = "money_text::optional")]
    pub recall_maximum: Option<Money>,
    /// Whether a loan that was recalled has no grace.
    #[serde(default)]
    pub no_grace_for_recalls: bool,
    /// Whether a renewal forgives the fine incurred until then.
    #[serde(default)]
    pub forgive_on_renewal: bool,
}

impl FineTerms {
    /// The terms as they are for a loan that was recalled.
    #[must_use]
    pub fn for_recall(&self) -> Self {
        Self {
            amount: self.recall_amount.unwrap_or(self.amount),
            interval: self.recall_interval.unwrap_or(self.interval),
            maximum: self.recall_maximum.or(self.maximum),
            ..self.clone()
        }
    }
}

impl Terms for FineTerms {
    const KIND: PolicyKind = PolicyKind::OverdueFine;

    fn check(&self) -> Result<(), TermsFault> {
        check_amount("amount", self.amount)?;
        for (field, amount) in [
            ("maximum", self.maximum),
            ("recall_amount", self.recall_amount),
            ("recall_maximum", self.recall_maximum),
        ] {
            let Some(amount) = amount else { continue };
            check_amount(field, amount)?;
            if amount.currency() != self.amount.currency() {
                return fault(field, "must have the amount's currency");
            }
        }
        let in_months = |interval: Period| interval.unit == PeriodUnit::Months;
        if (in_months(self.interval) || self.recall_interval.is_some_and(in_months))
            && !self.count_closed
        {
            return fault(
                "count_closed",
                "must be set where the interval is in months",
            );
        }
        Ok(())
    }
}

/// What a lost item costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostTerms {
    /// How long after the due date an item is aged to lost; `None`: never.
    pub aged_to_lost_after: Option<Period>,
    /// Charged where the replacement price is unknown, or always.
    #[serde(with = "money_text::optional")]
    pub set_cost: Option<Money>,
    /// Whether the set cost is charged also where the price is known.
    pub charge_set_cost: bool,
    /// The processing fee.
    #[serde(with = "money_text::optional")]
    pub processing_fee: Option<Money>,
    /// How long after it was aged to lost a fee is given back; `None`: never.
    pub refund_within: Option<Period>,
    /// Whether the processing fee is given back too.
    pub refund_processing_fee: bool,
    /// How long after the due date an item is aged to lost that somebody
    /// recalled; `None`: the same.
    #[serde(default)]
    pub recalled_aged_to_lost_after: Option<Period>,
    /// Whether staff set the lost item fee once the actual cost is known.
    #[serde(default)]
    pub actual_cost: bool,
    /// Whether an item declared lost owes neither fee.
    #[serde(default)]
    pub no_fees_when_declared: bool,
    /// The processing fee of an item declared lost; `None`: the same.
    #[serde(default, with = "money_text::optional")]
    pub declared_processing_fee: Option<Money>,
    /// How long after the loss a returned item owes neither fee; `None`: no
    /// time.
    #[serde(default)]
    pub no_fees_within: Option<Period>,
    /// The fee for damage, and for missing parts without a price.
    #[serde(default, with = "money_text::optional")]
    pub damage_fee: Option<Money>,
}

impl LostTerms {
    /// How long after its due date a loan's item is aged to lost; `None`:
    /// never.
    #[must_use]
    pub fn aged_after(&self, is_recalled: bool) -> Option<Period> {
        let recalled = self.recalled_aged_to_lost_after.filter(|_| is_recalled);
        recalled.or(self.aged_to_lost_after)
    }
}

impl Terms for LostTerms {
    const KIND: PolicyKind = PolicyKind::LostItem;

    fn check(&self) -> Result<(), TermsFault> {
        for (field, amount) in [
            ("set_cost", self.set_cost),
            ("processing_fee", self.processing_fee),
            ("declared_processing_fee", self.declared_processing_fee),
            ("damage_fee", self.damage_fee),
        ] {
            amount.map_or(Ok(()), |amount| check_amount(field, amount))?;
        }
        let amounts = [
            self.set_cost,
            self.processing_fee,
            self.declared_processing_fee,
            self.damage_fee,
        ];
        let mut currencies = amounts.iter().flatten().map(|amount| amount.currency());
        if let Some(first) = currencies.next()
            && currencies.any(|currency| currency != first)
        {
            return fault(
                "processing_fee",
                "must have one currency with the other amounts",
            );
        }
        if self.actual_cost && (self.set_cost.is_some() || self.charge_set_cost) {
            return fault(
                "set_cost",
                "must not be set where the actual cost is charged",
            );
        }
        if self.charge_set_cost && self.set_cost.is_none() {
            return fault("set_cost", "is needed where it is always charged");
        }
        Ok(())
    }
}

/// Money inside a policy's terms: "12.50 USD".
mod money_text {
    use carrel_money::{Currency, Decimal, Money};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(money: &Money, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(money)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        parse(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not an amount"))
    }

    fn parse(text: &str) -> Option<Money> {
        let (amount, currency) = text.split_once(' ')?;
        let amount: Decimal = amount.parse().ok()?;
        let currency: Currency = currency.parse().ok()?;
        Money::new(amount, currency).ok()
    }

    pub mod optional {
        use super::{Deserialize, Deserializer, Error, Money, Serializer};

        pub fn serialize<S: Serializer>(
            money: &Option<Money>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match money {
                Some(money) => serializer.collect_str(money),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Money>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| super::parse(&text).ok_or_else(|| D::Error::custom("not an amount")))
                .transpose()
        }
    }
}
