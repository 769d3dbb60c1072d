//! What the student-account system knows: students, periods, accounting codes, charges and payments.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A student, as far as an account needs one.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Person {
    /// The GUID that other systems use.
    pub(crate) id: String,
    /// The number on the student's card.
    pub(crate) number: Option<String>,
    pub(crate) name: Option<String>,
}

/// A term.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AcademicPeriod {
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) start_on: Date,
    pub(crate) end_on: Date,
    /// Whether charges and payments may still be entered.
    pub(crate) open: bool,
}

/// An accounting code that charges go to.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct FundingDestination {
    pub(crate) id: String,
    pub(crate) code: String,
    /// What a statement says where a charge has no description of its own.
    pub(crate) title: String,
}

/// A line that raises (or, negative, lowers) what a student owes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) entered_at: Timestamp,
    pub(crate) student_id: String,
    pub(crate) funding_source_id: Option<String>,
    pub(crate) funding_destination_id: String,
    pub(crate) academic_period_id: String,
    /// As it was received.
    pub(crate) chargeable_on: String,
    pub(crate) amount: Decimal,
    pub(crate) currency: String,
    /// Quantity and cost of one, where the charge came in that form.
    pub(crate) unit_cost: Option<(Decimal, Decimal)>,
    pub(crate) override_description: Option<String>,
    pub(crate) comments: Vec<String>,
    pub(crate) reporting_detail: Option<Value>,
}

/// Money received on a student's account.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) entered_at: Timestamp,
    pub(crate) student_id: String,
    pub(crate) funding_source_id: Option<String>,
    pub(crate) funding_destination_id: String,
    pub(crate) academic_period_id: String,
    pub(crate) payment_type: String,
    /// As it was received.
    pub(crate) paid_on: String,
    pub(crate) amount: Decimal,
    pub(crate) currency: String,
    pub(crate) comments: Vec<String>,
    /// The charge that the cashier applied it to. Ethos does not show it.
    pub(crate) settles: Option<String>,
}

/// One line of the journal. Replaying all of them gives the books.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub(crate) enum Record {
    Person(Person),
    AcademicPeriod(AcademicPeriod),
    FundingDestination(FundingDestination),
    Charge(Charge),
    Payment(Payment),
    /// The amount of a charge was changed behind everybody's back.
    Adjusted {
        charge_id: String,
        amount: Decimal,
    },
    ClockMoved {
        offset_ms: i64,
    },
    /// A batch file was loaded to its end.
    Batch {
        id: String,
    },
}

/// The place of a charge or payment in the order of entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Line {
    Charge(usize),
    Payment(usize),
}

/// Everything, in memory, as of the last durable record.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) persons: BTreeMap<String, Person>,
    pub(crate) academic_periods: BTreeMap<String, AcademicPeriod>,
    pub(crate) funding_destinations: BTreeMap<String, FundingDestination>,
    pub(crate) clock_offset_ms: i64,
    charges: Vec<Charge>,
    payments: Vec<Payment>,
    charge_by_id: HashMap<String, usize>,
    payment_by_id: HashMap<String, usize>,
    lines_by_student: HashMap<String, Vec<Line>>,
    paid_by_charge: HashMap<String, Decimal>,
    batches: HashSet<String>,
}

impl Books {
    /// Takes up a record that is on the disk.
    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::Person(person) => {
                self.persons.insert(person.id.clone(), person);
            }
            Record::AcademicPeriod(period) => {
                self.academic_periods.insert(period.id.clone(), period);
            }
            Record::FundingDestination(destination) => {
                self.funding_destinations
                    .insert(destination.id.clone(), destination);
            }
            Record::Charge(charge) => {
                let place = self.charges.len();
                self.charge_by_id.insert(charge.id.clone(), place);
                self.lines_of(&charge.student_id).push(Line::Charge(place));
                self.charges.push(charge);
            }
            Record::Payment(payment) => {
                let place = self.payments.len();
                self.payment_by_id.insert(payment.id.clone(), place);
                self.lines_of(&payment.student_id)
                    .push(Line::Payment(place));
                if let Some(charge_id) = &payment.settles {
                    *self.paid_by_charge.entry(charge_id.clone()).or_default() += payment.amount;
                }
                self.payments.push(payment);
            }
            Record::Adjusted { charge_id, amount } => {
                if let Some(&place) = self.charge_by_id.get(&charge_id) {
                    self.charges[place].amount = amount;
                    self.charges[place].unit_cost = None;
                }
            }
            Record::ClockMoved { offset_ms } => self.clock_offset_ms = offset_ms,
            Record::Batch { id } => {
                self.batches.insert(id);
            }
        }
    }

    fn lines_of(&mut self, student_id: &str) -> &mut Vec<Line> {
        self.lines_by_student
            .entry(student_id.to_owned())
            .or_default()
    }

    /// Whether a batch file was loaded.
    pub(crate) fn has_batch(&self, id: &str) -> bool {
        self.batches.contains(id)
    }

    pub(crate) fn charge(&self, id: &str) -> Option<&Charge> {
        self.charge_by_id.get(id).map(|&place| &self.charges[place])
    }

    pub(crate) fn payment(&self, id: &str) -> Option<&Payment> {
        self.payment_by_id
            .get(id)
            .map(|&place| &self.payments[place])
    }

    pub(crate) fn charges(&self) -> &[Charge] {
        &self.charges
    }

    pub(crate) fn payments(&self) -> &[Payment] {
        &self.payments
    }

    /// The charges of one student, or of all, in the order of entry.
    pub(crate) fn charges_of(&self, student_id: Option<&str>) -> Vec<&Charge> {
        let Some(student_id) = student_id else {
            return self.charges.iter().collect();
        };
        let of_charge = |line: &Line| match *line {
            Line::Charge(place) => Some(&self.charges[place]),
            Line::Payment(_) => None,
        };
        self.lines(student_id)
            .iter()
            .filter_map(of_charge)
            .collect()
    }

    /// The payments of one student, or of all, in the order of entry.
    pub(crate) fn payments_of(&self, student_id: Option<&str>) -> Vec<&Payment> {
        let Some(student_id) = student_id else {
            return self.payments.iter().collect();
        };
        let of_payment = |line: &Line| match *line {
            Line::Charge(_) => None,
            Line::Payment(place) => Some(&self.payments[place]),
        };
        self.lines(student_id)
            .iter()
            .filter_map(of_payment)
            .collect()
    }

    /// A student's charges and payments as they were entered.
    pub(crate) fn lines(&self, student_id: &str) -> &[Line] {
        self.lines_by_student
            .get(student_id)
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn charge_at(&self, place: usize) -> &Charge {
        &self.charges[place]
    }

    pub(crate) fn payment_at(&self, place: usize) -> &Payment {
        &self.payments[place]
    }

    /// What the cashier has applied to a charge.
    pub(crate) fn paid(&self, charge_id: &str) -> Decimal {
        self.paid_by_charge
            .get(charge_id)
            .copied()
            .unwrap_or_default()
    }
}
