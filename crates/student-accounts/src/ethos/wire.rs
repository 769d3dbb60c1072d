//! The JSON of `student-charges` and `student-payments` v16.
//!
//! What is written is strict, as the schema refuses unknown members; what is read is lenient, as sites differ.

use carrel_money::{Currency, Money};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Number, json};

use crate::matching;
use crate::outcome::{SisCharge, SisPayment};
use crate::posting::Posting;

/// A create carries this in place of an id.
const NIL_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// The body of a create.
pub(super) fn create(posting: &Posting) -> Vec<u8> {
    let text = posting.statement_text();
    let mut body = json!({
        "id": NIL_GUID,
        "student": { "id": posting.student_id },
        "fundingDestination": { "id": posting.funding_destination_id },
        "academicPeriod": { "id": posting.academic_period_id },
        "chargeableOn": date_time(posting.chargeable_on),
        "chargedAmount": {
            "amount": { "value": number(posting.amount), "currency": posting.amount.currency().code() },
        },
        "overrideDescription": text,
        "comments": [text, matching::mark(posting.posting_id)],
    });
    if let Some(id) = &posting.funding_source_id {
        body["fundingSource"] = json!({ "id": id });
    }
    body.to_string().into_bytes()
}

/// Noon UTC is on the same civil day anywhere from UTC-12 to UTC+11, whether or not the site converts to its own time;
/// midnight UTC would be yesterday in America, which the SIS refuses.
fn date_time(date: Date) -> String {
    format!("{date}T12:00:00Z")
}

/// The amount as a JSON number. A double holds 15 significant digits, an amount has at most 14.
fn number(amount: Money) -> Number {
    serde_json::from_str(&amount.amount().to_string())
        .expect("a decimal's digits are a JSON number")
}

/// The answer to a create.
#[derive(Deserialize)]
pub(super) struct Created {
    pub(super) id: String,
}

#[derive(Deserialize)]
struct IdObject {
    id: Option<String>,
}

#[derive(Deserialize)]
struct MoneyObject {
    value: Option<Number>,
    currency: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChargedAmount {
    amount: Option<MoneyObject>,
    unit_cost: Option<UnitCost>,
}

#[derive(Deserialize)]
struct UnitCost {
    quantity: Option<Number>,
    cost: Option<MoneyObject>,
}

/// A charge as Ethos shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Charge {
    pub(super) id: String,
    student: Option<IdObject>,
    academic_period: Option<IdObject>,
    funding_destination: Option<IdObject>,
    chargeable_on: Option<String>,
    charged_amount: Option<ChargedAmount>,
    override_description: Option<String>,
    #[serde(default)]
    comments: Option<Vec<String>>,
}

/// A payment as Ethos shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    pub(super) id: String,
    student: Option<IdObject>,
    academic_period: Option<IdObject>,
    funding_destination: Option<IdObject>,
    payment_type: Option<String>,
    paid_on: Option<String>,
    amount: Option<MoneyObject>,
}

impl From<Charge> for SisCharge {
    fn from(charge: Charge) -> Self {
        Self {
            sis_id: charge.id,
            student_id: id(charge.student),
            academic_period_id: id(charge.academic_period),
            funding_destination_id: id(charge.funding_destination),
            amount: charge.charged_amount.as_ref().and_then(charged),
            chargeable_on: charge.chargeable_on.as_deref().and_then(date),
            description: charge.override_description,
            comments: charge.comments.unwrap_or_default(),
        }
    }
}

impl From<Payment> for SisPayment {
    fn from(payment: Payment) -> Self {
        Self {
            sis_id: payment.id,
            student_id: id(payment.student),
            academic_period_id: id(payment.academic_period),
            funding_destination_id: id(payment.funding_destination),
            amount: payment
                .amount
                .as_ref()
                .and_then(|amount| money(amount, Decimal::ONE)),
            paid_on: payment.paid_on.as_deref().and_then(date),
            payment_type: payment.payment_type,
        }
    }
}

fn id(object: Option<IdObject>) -> Option<String> {
    object?.id
}

fn charged(charged: &ChargedAmount) -> Option<Money> {
    match (&charged.amount, &charged.unit_cost) {
        (Some(amount), _) => money(amount, Decimal::ONE),
        (None, Some(unit_cost)) => money(
            unit_cost.cost.as_ref()?,
            decimal(unit_cost.quantity.as_ref()?)?,
        ),
        (None, None) => None,
    }
}

fn money(object: &MoneyObject, quantity: Decimal) -> Option<Money> {
    let currency: Currency = object.currency.as_deref()?.parse().ok()?;
    let amount = decimal(object.value.as_ref()?)?.checked_mul(quantity)?;
    Money::new(amount, currency).ok()
}

fn decimal(number: &Number) -> Option<Decimal> {
    let text = number.to_string();
    text.parse()
        .ok()
        .or_else(|| Decimal::from_scientific(&text).ok())
}

/// The civil date that a date and time begins with.
fn date(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount_of(charged_amount: &str) -> Option<Money> {
        let text = format!(r#"{{"id": "x", "chargedAmount": {charged_amount}}}"#);
        SisCharge::from(serde_json::from_str::<Charge>(&text).unwrap()).amount
    }

    fn usd(cents: i64) -> Money {
        Money::from_minor(cents, Currency::USD).unwrap()
    }

    #[test]
    fn amounts_are_read_in_both_forms_or_not_at_all() {
        assert_eq!(
            amount_of(r#"{"amount": {"value": 17.35, "currency": "USD"}}"#),
            Some(usd(1735))
        );
        let unit_cost =
            r#"{"unitCost": {"quantity": 3, "cost": {"value": 0.15, "currency": "USD"}}}"#;
        assert_eq!(amount_of(unit_cost), Some(usd(45)));
        for unread in [
            r#"{"amount": {"value": 17.355, "currency": "USD"}}"#,
            r#"{"amount": {"value": 17.35, "currency": "EUR"}}"#,
            r#"{"amount": {"value": 1e300, "currency": "USD"}}"#,
            "{}",
        ] {
            assert_eq!(amount_of(unread), None, "{unread}");
        }
    }

    proptest! {
        #[test]
        fn no_cent_is_lost_between_here_and_there(cents in -99_999_999_999_999i64..=99_999_999_999_999) {
            let amount = usd(cents);
            let text = format!(r#"{{"amount": {{"value": {}, "currency": "USD"}}}}"#, number(amount));
            prop_assert_eq!(amount_of(&text), Some(amount));
        }
    }
}
