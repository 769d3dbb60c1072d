//! The receipt of a payment as plain text: what a till prints, 42 columns wide, without a name or a title.

use jiff::tz::TimeZone;

use super::Payment;
use crate::account::model::Tender;

/// How wide a till's paper is, in characters.
const COLUMNS: usize = 42;

/// The lines of a receipt, none wider than 42 columns.
#[must_use]
pub fn lines(payment: &Payment, zone: &TimeZone) -> Vec<String> {
    let taken_at = payment.taken_at.to_zoned(zone.clone());
    let mut lines = vec![
        "LIBRARY RECEIPT".to_owned(),
        row("Receipt", &payment.receipt_number()),
        row("Date", &taken_at.strftime("%Y-%m-%d %H:%M").to_string()),
        "-".repeat(COLUMNS),
    ];
    for part in &payment.parts {
        lines.push(row(&part.statement_text, &part.amount.amount().to_string()));
        lines.push(cut(&format!("  ref {}", part.reference), COLUMNS));
    }
    lines.push("-".repeat(COLUMNS));
    lines.push(row("TOTAL", &payment.amount.to_string()));
    let tender = match payment.tender {
        Tender::Cash => "Cash",
        Tender::Cheque => "Cheque",
        Tender::Card => "Card",
    };
    lines.push(row(tender, &payment.tendered.amount().to_string()));
    if !payment.tender_reference.is_empty() {
        lines.push(cut(&format!("  {}", payment.tender_reference), COLUMNS));
    }
    if payment.tendered != payment.amount {
        let change = payment.tendered.amount() - payment.amount.amount();
        lines.push(row("Change", &change.to_string()));
    }
    for part in payment
        .parts
        .iter()
        .filter(|part| !part.given_back.is_zero())
    {
        let what = if payment.returned_at.is_some() {
            format!("Cheque returned {}", part.reference)
        } else {
            format!("Given back {}", part.reference)
        };
        lines.push(row(&what, &format!("-{}", part.given_back.amount())));
    }
    lines
}

/// The receipt as text.
#[must_use]
pub fn text(payment: &Payment, zone: &TimeZone) -> String {
    let mut text = lines(payment, zone).join("\n");
    text.push('\n');
    text
}

/// The receipt as PDF (ISO 32000-1): one page of the till's width with the same
/// lines, in Courier, which every reader has; so no font, and no library, is
/// needed.
#[must_use]
pub fn pdf(payment: &Payment, zone: &TimeZone) -> Vec<u8> {
    const POINTS: usize = 9;
    const LEADING: usize = 12;
    const MARGIN: usize = 18;
    let lines = lines(payment, zone);
    // A character of Courier is six tenths of its size wide.
    let width = 2 * MARGIN + COLUMNS * POINTS * 6 / 10 + 1;
    let height = 2 * MARGIN + lines.len() * LEADING;
    let mut content = format!(
        "BT /F1 {POINTS} Tf {LEADING} TL {MARGIN} {} Td\n",
        height - MARGIN
    );
    for line in &lines {
        content.push_str(&format!("T* ({}) Tj\n", pdf_text(line)));
    }
    content.push_str("ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents 4 0 R \
             /Resources << /Font << /F1 5 0 R >> >> >>"
        ),
        format!(
            "<< /Length {} >>\nstream\n{content}\nendstream",
            content.len()
        ),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>".to_owned(),
    ];
    let mut file = String::from("%PDF-1.4\n");
    let mut offsets = Vec::with_capacity(objects.len());
    for (place, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.push_str(&format!("{} 0 obj\n{object}\nendobj\n", place + 1));
    }
    let table = file.len();
    let count = objects.len() + 1;
    file.push_str(&format!("xref\n0 {count}\n0000000000 65535 f \n"));
    for offset in offsets {
        file.push_str(&format!("{offset:010} 00000 n \n"));
    }
    file.push_str(&format!(
        "trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n"
    ));
    file.into_bytes()
}

/// A text as a PDF string of ASCII; what is not, is shown as a question mark.
fn pdf_text(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '(' | ')' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => text.push('?'),
        }
    }
    text
}

/// A name on the left, an amount on the right; the name gives way.
fn row(left: &str, right: &str) -> String {
    let room = COLUMNS.saturating_sub(right.chars().count() + 1);
    let left = cut(left, room);
    let gap = COLUMNS.saturating_sub(left.chars().count() + right.chars().count());
    format!("{left}{}{right}", " ".repeat(gap))
}

fn cut(text: &str, room: usize) -> String {
    text.chars().take(room).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::*;
    use carrel_money::{Currency, Money};
    use jiff::Timestamp;
    use uuid::Uuid;

    fn usd(cents: i64) -> Money {
        Money::from_minor(cents, Currency::USD).unwrap()
    }

    fn paid() -> Payment {
        Payment {
            id: Uuid::from_u128(7),
            patron_id: Uuid::nil(),
            tender: Tender::Cash,
            tender_reference: String::new(),
            amount: usd(1250),
            tendered: usd(2000),
            taken_by: "desk-1".into(),
            taken_at: "2026-03-02T20:05:00Z".parse::<Timestamp>().unwrap(),
            drawer_session_id: None,
            returned_at: None,
            parts: vec![
                Part {
                    account_id: Uuid::nil(),
                    reference: "7K3QX09B".into(),
                    amount: usd(1000),
                    given_back: usd(0),
                    statement_text: "Library lost-item processing fee, extended".into(),
                },
                Part {
                    account_id: Uuid::nil(),
                    reference: "AAAAAAAA".into(),
                    amount: usd(250),
                    given_back: usd(50),
                    statement_text: "Library overdue fine".into(),
                },
            ],
        }
    }

    #[test]
    fn a_receipt_says_what_was_paid_how_and_what_came_back() {
        let payment = paid();
        let zone = TimeZone::get("America/Los_Angeles").unwrap();
        let expected = format!(
            "LIBRARY RECEIPT\n\
             Receipt                           {}\n\
             Date                      2026-03-02 12:05\n\
             ------------------------------------------\n\
             Library lost-item processing fee, ex 10.00\n\
             \u{20} ref 7K3QX09B\n\
             Library overdue fine                  2.50\n\
             \u{20} ref AAAAAAAA\n\
             ------------------------------------------\n\
             TOTAL                            12.50 USD\n\
             Cash                                 20.00\n\
             Change                                7.50\n\
             Given back AAAAAAAA                  -0.50\n",
            payment.receipt_number()
        );
        assert_eq!(text(&payment, &zone), expected);
    }

    #[test]
    fn the_pdf_holds_the_same_lines_and_its_table_finds_every_object() {
        let mut payment = paid();
        payment.tender_reference = r"a) (b \ é".into();
        let file = String::from_utf8(pdf(&payment, &TimeZone::UTC)).unwrap();
        assert!(file.contains(r"(  a\) \(b \\ ?) Tj"), "{file}");
        for line in lines(&payment, &TimeZone::UTC) {
            assert!(
                file.contains(&format!("({}) Tj", pdf_text(&line))),
                "{line}"
            );
        }
        let start = file.rsplit("startxref\n").next().unwrap();
        let start: usize = start.lines().next().unwrap().parse().unwrap();
        let table: Vec<&str> = file[start..].lines().collect();
        assert_eq!(table[..2], ["xref", "0 6"]);
        for (place, entry) in table[3..8].iter().enumerate() {
            let offset: usize = entry[..10].parse().unwrap();
            assert!(file[offset..].starts_with(&format!("{} 0 obj", place + 1)));
        }
        let stream = file.split("stream\n").nth(1).unwrap();
        let content = stream.strip_suffix("\nend").unwrap();
        assert!(file.contains(&format!("/Length {} ", content.len())));
    }

    #[test]
    fn no_line_is_wider_than_the_paper() {
        let mut payment = paid();
        payment.tender = Tender::Card;
        payment.tender_reference = "r".repeat(100);
        payment.tendered = payment.amount;
        for line in lines(&payment, &TimeZone::UTC) {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }
}
