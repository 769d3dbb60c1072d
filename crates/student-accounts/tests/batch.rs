//! Batch files: golden files of every layout, what is refused, and a round trip for all.

// clippy.toml allows it in test functions, but does not see that what they call is test code as well.
#![allow(clippy::unwrap_used)]

use carrel_ids::Reference;
use carrel_money::{Currency, Money};
use carrel_student_accounts::batch::{
    BatchFile, BatchHead, EXAMPLES, Kinds, Layout, RowVerdict, fingerprint,
};
use carrel_student_accounts::{Description, Error, Posting, Reversal};
use jiff::civil::date;
use proptest::prelude::*;
use uuid::Uuid;

fn layout(name: &str) -> Layout {
    let (_, text) = EXAMPLES.iter().find(|(other, _)| *other == name).unwrap();
    Layout::parse(text).unwrap()
}

fn head() -> BatchHead {
    BatchHead {
        id: Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0abc),
        sequence: 17,
        at: date(2026, 3, 2).at(21, 5, 9, 0),
    }
}

/// Student ids and codes that fit every layout.
fn posting(number: u128, student_id: &str, cents: i64, text: &str) -> Posting {
    let posting_id = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + number);
    let original = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001);
    Posting {
        posting_id,
        reference: Reference::of(posting_id),
        student_id: student_id.to_owned(),
        academic_period_id: "2263".to_owned(),
        funding_destination_id: "LIBR".to_owned(),
        funding_source_id: None,
        amount: Money::from_minor(cents, Currency::USD).unwrap(),
        chargeable_on: date(2026, 3, 2),
        description: Description::new(text).unwrap(),
        reversal_of: (cents < 0).then(|| Reversal {
            posting_id: original,
            reference: Reference::of(original),
        }),
    }
}

fn a_day(kinds: Kinds) -> Vec<Posting> {
    let mut day = vec![
        posting(1, "70000001", 4500, "Library lost-item fee"),
        posting(2, "70000001", 1000, "Library processing fee"),
        posting(3, "70000402", 175, "Library overdue fine"),
    ];
    if kinds == Kinds::Together {
        day.push(posting(4, "70000001", -4500, "Library lost-item fee"));
    }
    day
}

fn verdicts(rows: &BatchFile, day: &[Posting]) -> Vec<RowVerdict> {
    let mut seen = 0;
    let mut verdicts = Vec::new();
    for (posting, row) in day.iter().zip(&rows.rows) {
        if *row <= seen {
            continue;
        }
        seen = *row;
        let amount = posting.amount.amount();
        verdicts.push(RowVerdict {
            row: Some(*row),
            reference: Some(posting.reference),
            accepted: *row != 2,
            reason: if *row == 2 { "Term not open" } else { "" }.to_owned(),
            sis_id: (*row != 2).then(|| format!("AR{row}")),
            amount: Some(amount),
        });
    }
    verdicts
}

/// Compares with the golden file; `CARREL_BLESS=1` writes it instead.
fn assert_golden(name: &str, bytes: &[u8]) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("CARREL_BLESS").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(
        String::from_utf8_lossy(bytes),
        String::from_utf8_lossy(&golden),
        "{name}"
    );
}

#[test]
fn every_layout_writes_its_golden_file_and_reads_it_back() {
    for (name, _) in EXAMPLES {
        let layout = layout(name);
        let day = a_day(layout.kinds);
        let file = layout.write(&head(), &day).unwrap();
        assert_golden(&format!("{name}.{}", file.name), &file.bytes);
        assert_eq!(file.fingerprint, fingerprint(&file.bytes));
        assert_eq!(file, layout.write(&head(), &day).unwrap(), "{name}");

        let read = layout.read(&file.name, &file.bytes).unwrap();
        assert_eq!(read.totals, file.totals, "{name}");
        for (posting, row) in day.iter().zip(&file.rows) {
            let row = &read.rows[*row as usize - 1];
            if !layout.group_by_student {
                assert_eq!(row.amount, Some(posting.amount.amount()), "{name}");
                assert!(
                    row.reference
                        .is_none_or(|reference| reference == posting.reference)
                );
            }
            assert_eq!(row.student_id.as_deref(), Some(&*posting.student_id));
            assert_eq!(row.funding_destination_id.as_deref(), Some("LIBR"));
        }
    }
}

#[test]
fn every_layout_reads_its_golden_answers() {
    for (name, _) in EXAMPLES {
        let layout = layout(name);
        let day = a_day(layout.kinds);
        let file = layout.write(&head(), &day).unwrap();
        let said = verdicts(&file, &day);
        let mut heard = Vec::new();
        for answer in layout.answers() {
            let (file_name, bytes) = answer.write(&head(), &file.name, &said).unwrap();
            assert_golden(&format!("{name}.{file_name}"), &bytes);
            let read = layout
                .answer(&file_name)
                .unwrap()
                .read(&file_name, &bytes)
                .unwrap();
            assert!(
                read.sequence == Some(17) || read.file_name.as_deref() == Some(&*file.name),
                "{name}: an answer says which batch it is about"
            );
            heard.extend(read.verdicts);
        }
        for verdict in heard {
            let expected = said.iter().find(|said| {
                verdict.row.is_none_or(|row| said.row == Some(row))
                    && verdict
                        .reference
                        .is_none_or(|reference| said.reference == Some(reference))
            });
            let expected = expected.unwrap();
            assert_eq!(verdict.accepted, expected.accepted, "{name}");
            assert!(
                verdict
                    .amount
                    .is_none_or(|amount| Some(amount) == expected.amount)
            );
            if !verdict.accepted {
                assert_eq!(verdict.reason, "Term not open", "{name}");
            }
        }
    }
}

#[test]
fn one_wrong_byte_in_a_total_and_the_whole_file_is_refused() {
    for name in [
        "peoplesoft",
        "banner-feeder",
        "fixed-width-header-totals",
        "folio-bursar",
    ] {
        let layout = layout(name);
        let file = layout.write(&head(), &a_day(layout.kinds)).unwrap();
        let text = String::from_utf8(file.bytes.clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let total_line = match name {
            "peoplesoft" | "folio-bursar" => lines.len() - 1,
            _ => 0,
        };
        let start: usize = text
            .split_inclusive('\n')
            .take(total_line)
            .map(str::len)
            .sum();
        // In the header the system and the sequence are no totals.
        let skip = if name == "banner-feeder" {
            "HDR,lib,17,".len()
        } else {
            0
        };
        let mut tried = 0;
        for place in start + skip..start + lines[total_line].len() {
            if !file.bytes[place].is_ascii_digit() {
                continue;
            }
            let mut wrong = file.bytes.clone();
            wrong[place] = if wrong[place] == b'9' {
                b'8'
            } else {
                wrong[place] + 1
            };
            let refused = layout.read(&file.name, &wrong).unwrap_err();
            assert!(
                matches!(refused, Error::BadFile(_)),
                "{name} {place}: {refused}"
            );
            tried += 1;
        }
        assert!(tried >= 9, "{name}: {tried}");
    }
}

#[test]
fn a_changed_or_lost_row_is_noticed_by_the_totals() {
    let layout = layout("peoplesoft");
    let file = layout.write(&head(), &a_day(layout.kinds)).unwrap();
    let text = String::from_utf8(file.bytes.clone()).unwrap();
    for wrong in [
        text.replacen("45.00", "54.00", 1),
        text.replacen("70000402", "70000403", 1),
        text.lines()
            .enumerate()
            .filter(|(n, _)| *n != 2)
            .map(|(_, l)| format!("{l}\r\n"))
            .collect(),
        text.replace("\r\n", "\n"),
        text.lines().take(4).map(|l| format!("{l}\r\n")).collect(),
        String::new(),
    ] {
        assert!(
            matches!(
                layout.read(&file.name, wrong.as_bytes()),
                Err(Error::BadFile(_))
            ),
            "{wrong}"
        );
    }
    assert!(
        layout.read("LIB17.DAT", &file.bytes).is_err(),
        "misnamed files are ignored"
    );
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_cut_silently() {
    let layout = layout("peoplesoft");
    let fits = posting(1, "70000001", 4500, "Library lost-item fee");
    layout.check(&fits).unwrap();
    let refused = |posting: &Posting| {
        let error = layout.check(posting).unwrap_err();
        assert!(matches!(error, Error::NotWritable(_)), "{error}");
        assert!(
            layout
                .write(&head(), std::slice::from_ref(posting))
                .is_err()
        );
        error.to_string()
    };
    let text = refused(&Posting {
        student_id: "123456789012".into(),
        ..fits.clone()
    });
    assert!(
        text.contains("student-id") && !text.contains("123456789012"),
        "{text}"
    );
    refused(&Posting {
        academic_period_id: "2026FA".into(),
        ..fits.clone()
    });
    refused(&Posting {
        student_id: "7000\u{e9}".into(),
        ..fits.clone()
    });
    refused(&Posting {
        student_id: "7000\n0001".into(),
        ..fits.clone()
    });
    // The text is the one thing that this layout allows to cut.
    let long = Posting {
        description: Description::new("Library lost-item processing charges").unwrap(),
        ..fits
    };
    let file = layout.write(&head(), &[long]).unwrap();
    assert!(
        String::from_utf8(file.bytes)
            .unwrap()
            .contains("Library lost-item processing c\r\n")
    );
}

#[test]
fn a_batch_keeps_its_limits_and_its_kind() {
    let apart = layout("fixed-width-header-totals");
    assert!(
        apart.write(&head(), &a_day(Kinds::Together)).is_err(),
        "one transaction type a file"
    );
    let credit = posting(4, "70000001", -4500, "Library lost-item fee");
    let file = apart.write(&head(), std::slice::from_ref(&credit)).unwrap();
    assert_golden("fixed-width-header-totals.credit", &file.bytes);
    let read = apart.read(&file.name, &file.bytes).unwrap();
    assert_eq!(read.rows[0].amount, Some(credit.amount.amount()));
    assert!(
        apart
            .check(&Posting {
                reversal_of: None,
                ..credit
            })
            .is_err(),
        "only whole reversals"
    );

    let dear = posting(1, "70000001", 50_000_001, "Library lost-item fee");
    assert!(
        layout("peoplesoft").write(&head(), &[dear]).is_err(),
        "more than the file may hold"
    );
}

/// Only what may leave (ARCHITECTURE §5.6): the posting's id, which derives from the fine, is in no file.
#[test]
fn only_what_may_leave_is_in_a_file() {
    for (name, _) in EXAMPLES {
        let layout = layout(name);
        let day = a_day(layout.kinds);
        let text = String::from_utf8(layout.write(&head(), &day).unwrap().bytes).unwrap();
        for posting in day {
            let id = posting.posting_id;
            assert!(
                !text.contains(&id.to_string()) && !text.contains(&id.simple().to_string()),
                "{name}"
            );
        }
    }
}

#[test]
fn a_layout_that_promises_what_it_cannot_keep_is_refused() {
    let (_, good) = EXAMPLES[0];
    for (from, to, because) in [
        ("{ is = \"student-id\", length = 11 },", "", "student-id"),
        ("length = 11", "", "needs a length"),
        ("\"%Y%m%d\"", "\"%m%d\"", "date"),
        ("\"%Y%m%d\"", "\"%Q\"", "date"),
        (
            "is = \"student-id\"",
            "is = \"patron-name\"",
            "unknown variant",
        ),
        (
            "{ is = \"reference\", length = 8 }",
            "{ is = \"reference\", length = 8, truncate = true }",
            "truncated",
        ),
        ("LIB{sequence:6}.DAT", "LIB.DAT", "sequence"),
        ("LIB{sequence:6}.DAT", "../{sequence}", "signs"),
        ("rows = 5000", "rows = 0", "limits.rows"),
        ("rows = 5000", "row = 5000", "unknown field"),
        (
            "length = 17, fill = \" \"",
            "sign = \"none\", length = 17, fill = \" \"",
            "kind",
        ),
        (
            "{ accepted = \"C\", rejected",
            "{ accepted = \"E\", rejected",
            "same code",
        ),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{because}");
        let error = Layout::parse(&bad).expect_err(because).to_string();
        assert!(error.contains(because), "{because}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_written_is_read_back(
        charges in prop::collection::vec((1u128..1000, "[1-9][0-9]{4,7}", 1i64..999_999, any::<bool>()), 1..40),
    ) {
        for (name, _) in EXAMPLES {
            let layout = layout(name);
            let postings: Vec<Posting> = charges
                .iter()
                .map(|(number, student, cents, credit)| {
                    let is_credit = *credit && layout.kinds == Kinds::Together;
                    let cents = if is_credit { -cents } else { *cents };
                    posting(*number, student, cents, "Library overdue fine")
                })
                .collect();
            // A file holds what it may; the rest is the next one's.
            let Ok(file) = layout.write(&head(), &postings) else { continue };
            let read = layout.read(&file.name, &file.bytes).unwrap();
            prop_assert_eq!(&read.totals, &file.totals);
            let sum: rust_decimal::Decimal = postings.iter().map(|posting| posting.amount.amount()).sum();
            prop_assert_eq!(read.rows.iter().filter_map(|row| row.amount).sum::<rust_decimal::Decimal>(), sum);
            if layout.group_by_student {
                continue;
            }
            prop_assert_eq!(read.rows.len(), postings.len());
            for (row, posting) in read.rows.iter().zip(&postings) {
                prop_assert_eq!(row.amount, Some(posting.amount.amount()));
                prop_assert_eq!(row.student_id.as_deref(), Some(&*posting.student_id));
                prop_assert_eq!(row.chargeable_on, Some(posting.chargeable_on));
                prop_assert!(row.reference.is_none_or(|reference| reference == posting.reference));
            }
        }
    }
}
