//! A student's account as the cashier sees it, and the totals of all accounts.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::books::{Books, Charge, Line, Payment, Person};
use crate::clock::Clock;

/// 0.00
const NOTHING: Decimal = Decimal::from_parts(0, 0, 0, false, 2);

/// A student's account.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Statement {
    student: Person,
    as_of: Date,
    lines: Vec<StatementLine>,
    /// What the student owes, by currency.
    balances: BTreeMap<String, Decimal>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatementLine {
    /// The day of entry.
    date: Date,
    kind: &'static str,
    id: String,
    /// The accounting code.
    code: String,
    academic_period: String,
    description: String,
    comments: Vec<String>,
    /// What the line adds to the balance; payments and credits are negative.
    amount: Decimal,
    currency: String,
    /// What the student owes in this currency after the line.
    balance: Decimal,
    /// `open`, `part-paid` or `paid` for a charge, `credit` or `payment` otherwise.
    status: &'static str,
    /// What is left of a charge after the payments that were applied to it.
    outstanding: Decimal,
}

/// The account of a student, where there is such a student.
pub(crate) fn statement(books: &Books, clock: &Clock, student_id: &str) -> Option<Statement> {
    let student = books.persons.get(student_id)?.clone();
    let mut balances = BTreeMap::<String, Decimal>::new();
    let mut lines = Vec::new();
    for line in books.lines(student_id) {
        let mut line = match *line {
            Line::Charge(place) => charge_line(books, clock, books.charge_at(place)),
            Line::Payment(place) => payment_line(books, clock, books.payment_at(place)),
        };
        let balance = balances.entry(line.currency.clone()).or_default();
        *balance += line.amount;
        line.balance = *balance;
        lines.push(line);
    }
    Some(Statement {
        student,
        as_of: clock.today(),
        lines,
        balances,
    })
}

fn charge_line(books: &Books, clock: &Clock, charge: &Charge) -> StatementLine {
    let paid = books.paid(&charge.id);
    let (kind, status) = if charge.amount.is_sign_negative() {
        ("credit", "credit")
    } else if paid >= charge.amount {
        ("charge", "paid")
    } else if paid.is_zero() {
        ("charge", "open")
    } else {
        ("charge", "part-paid")
    };
    let (code, title) = destination(books, &charge.funding_destination_id);
    StatementLine {
        date: clock.date_of(charge.entered_at),
        kind,
        id: charge.id.clone(),
        code,
        academic_period: period_code(books, &charge.academic_period_id),
        description: charge.override_description.clone().unwrap_or(title),
        comments: charge.comments.clone(),
        amount: charge.amount,
        currency: charge.currency.clone(),
        balance: Decimal::ZERO,
        status,
        outstanding: (charge.amount - paid).max(NOTHING),
    }
}

fn payment_line(books: &Books, clock: &Clock, payment: &Payment) -> StatementLine {
    StatementLine {
        date: clock.date_of(payment.entered_at),
        kind: "payment",
        id: payment.id.clone(),
        code: destination(books, &payment.funding_destination_id).0,
        academic_period: period_code(books, &payment.academic_period_id),
        description: format!("Payment ({})", payment.payment_type),
        comments: payment.comments.clone(),
        amount: -payment.amount,
        currency: payment.currency.clone(),
        balance: Decimal::ZERO,
        status: "payment",
        outstanding: NOTHING,
    }
}

fn destination(books: &Books, id: &str) -> (String, String) {
    let known = books.funding_destinations.get(id);
    known
        .map(|known| (known.code.clone(), known.title.clone()))
        .unwrap_or_default()
}

fn period_code(books: &Books, id: &str) -> String {
    books
        .academic_periods
        .get(id)
        .map(|period| period.code.clone())
        .unwrap_or_default()
}

/// How many lines there are and what they come to, by currency.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    charges: Total,
    payments: Total,
    /// The charges again, by accounting code.
    charges_by_code: BTreeMap<String, Total>,
}

#[derive(Default, Serialize)]
struct Total {
    count: u64,
    amounts: BTreeMap<String, Decimal>,
}

impl Total {
    fn add(&mut self, amount: Decimal, currency: &str) {
        self.count += 1;
        *self.amounts.entry(currency.to_owned()).or_default() += amount;
    }
}

/// The totals of all accounts.
pub(crate) fn totals(books: &Books) -> Totals {
    let mut totals = Totals::default();
    for charge in books.charges() {
        totals.charges.add(charge.amount, &charge.currency);
        let (code, _) = destination(books, &charge.funding_destination_id);
        totals
            .charges_by_code
            .entry(code)
            .or_default()
            .add(charge.amount, &charge.currency);
    }
    for payment in books.payments() {
        totals.payments.add(payment.amount, &payment.currency);
    }
    totals
}
