//! Strict reading of what is posted. Every fault of a body is found, not only the first, as Ethos does.
//!
//! Source: the v16 schema of `student-charges` (no unknown members anywhere, lower-case GUIDs) and its rules for a
//! create. `student-payments` has the same references.

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::books::{Books, Charge, Payment};
use crate::clock::Clock;
use crate::form::{ChargedAmount, Form, object};

/// A create carries this in place of an id.
const NIL_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// The payment types that this simulator takes.
const PAYMENT_TYPES: [&str; 5] = ["cash", "deposit", "financialAid", "payroll", "sponsor"];

/// One entry of an Ethos `errors` answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct EthosError {
    pub(crate) code: String,
    pub(crate) title: String,
    pub(crate) description: String,
}

impl EthosError {
    pub(crate) fn new(code: &str, title: &str, description: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            title: title.to_owned(),
            description: description.into(),
        }
    }
}

/// What a body is checked against, and what it becomes.
pub(crate) struct Desk<'a> {
    pub(crate) books: &'a Books,
    pub(crate) clock: &'a Clock,
    pub(crate) negative_amounts: bool,
    /// The id that the new charge or payment gets.
    pub(crate) new_id: String,
}

impl Desk<'_> {
    /// Reads the body of a `student-charges` create.
    pub(crate) fn charge(self, body: &[u8]) -> Result<Charge, Vec<EthosError>> {
        let body = object(body)?;
        let mut form = Form::new(&body);
        form.known_members(&[
            "metadata",
            "id",
            "student",
            "fundingSource",
            "fundingDestination",
            "academicPeriod",
            "chargeableOn",
            "chargedAmount",
            "reportingDetail",
            "overrideDescription",
            "comments",
        ]);
        let references = self.references(&mut form);
        let chargeable_on = form.date_time("chargeableOn", self.clock);
        if let Some((_, date)) = chargeable_on
            && date < self.clock.today()
        {
            form.refuse(format!("chargeableOn {date} is earlier than today"));
        }
        let charged = form.charged_amount();
        if let Some(charged) = &charged {
            self.charged_amount_rules(&mut form, charged);
        }
        let reporting_detail = form.reporting_detail(self.clock);
        let override_description = form.optional_text("overrideDescription");
        let comments = form.texts("comments");
        form.finish(|| {
            let charged = charged?;
            Some(Charge {
                id: self.new_id,
                entered_at: self.clock.now(),
                student_id: references.student_id?,
                funding_source_id: references.funding_source_id,
                funding_destination_id: references.funding_destination_id?,
                academic_period_id: references.academic_period_id?,
                chargeable_on: chargeable_on?.0,
                amount: charged.amount,
                currency: charged.currency,
                unit_cost: charged.unit_cost,
                override_description,
                comments,
                reporting_detail,
            })
        })
    }

    /// Reads the body of a `student-payments` create.
    pub(crate) fn payment(self, body: &[u8]) -> Result<Payment, Vec<EthosError>> {
        let body = object(body)?;
        let mut form = Form::new(&body);
        form.known_members(&[
            "metadata",
            "id",
            "student",
            "fundingSource",
            "fundingDestination",
            "academicPeriod",
            "paymentType",
            "paidOn",
            "amount",
            "comments",
        ]);
        let references = self.references(&mut form);
        let payment_type = form.text("paymentType");
        if let Some(payment_type) = &payment_type
            && !PAYMENT_TYPES.contains(&payment_type.as_str())
        {
            form.malformed(format!(
                "paymentType {payment_type:?} is not one of {PAYMENT_TYPES:?}"
            ));
        }
        let paid_on = form.date_time("paidOn", self.clock);
        let paid = form
            .member("amount")
            .and_then(|amount| form.money("amount", amount));
        if paid
            .as_ref()
            .is_some_and(|(amount, _)| *amount <= Decimal::ZERO)
        {
            form.refuse("amount.value must be greater than zero");
        }
        let comments = form.texts("comments");
        form.finish(|| {
            let (amount, currency) = paid?;
            Some(Payment {
                id: self.new_id,
                entered_at: self.clock.now(),
                student_id: references.student_id?,
                funding_source_id: references.funding_source_id,
                funding_destination_id: references.funding_destination_id?,
                academic_period_id: references.academic_period_id?,
                payment_type: payment_type?,
                paid_on: paid_on?.0,
                amount,
                currency,
                comments,
                settles: None,
            })
        })
    }

    fn charged_amount_rules(&self, form: &mut Form<'_>, charged: &ChargedAmount) {
        if charged.amount.is_zero() {
            form.refuse("chargedAmount must not be zero");
        }
        if charged.amount.is_sign_negative() && !charged.amount.is_zero() && !self.negative_amounts
        {
            form.refuse("chargedAmount must not be negative");
        }
    }

    fn references(&self, form: &mut Form<'_>) -> References {
        if form.text("id").is_some_and(|id| id != NIL_GUID) {
            form.refuse(format!("id must be {NIL_GUID} in a create"));
        }
        let student_id = form.reference("student");
        if let Some(id) = &student_id
            && !self.books.persons.contains_key(id)
        {
            form.refuse(format!("student.id {id} is not a student"));
        }
        let funding_destination_id = form.reference("fundingDestination");
        if let Some(id) = &funding_destination_id
            && !self.books.funding_destinations.contains_key(id)
        {
            form.refuse(format!(
                "fundingDestination.id {id} is not an accounting code"
            ));
        }
        let academic_period_id = form.reference("academicPeriod");
        match academic_period_id
            .as_ref()
            .map(|id| (id, self.books.academic_periods.get(id)))
        {
            Some((id, None)) => {
                form.refuse(format!("academicPeriod.id {id} is not an academic period"));
            }
            Some((_, Some(period))) if !period.open => {
                form.refuse(format!("academicPeriod {} is closed", period.code));
            }
            Some((_, Some(_))) | None => {}
        }
        // An empty object stands for "the site's default".
        let source = form
            .body
            .get("fundingSource")
            .filter(|source| **source != Value::Object(Map::new()));
        let funding_source_id = source.and_then(|_| form.reference("fundingSource"));
        References {
            student_id,
            funding_source_id,
            funding_destination_id,
            academic_period_id,
        }
    }
}

struct References {
    student_id: Option<String>,
    funding_source_id: Option<String>,
    funding_destination_id: Option<String>,
    academic_period_id: Option<String>,
}
