//! Charges that go to the student account as files, and the answers that come back.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carrel_billing::account::model::{Account, FeeFineKind};
use carrel_billing::posting::batch::{self, Batch, BatchSite, BatchState};
use carrel_billing::posting::model::PostingState;
use carrel_billing::posting::work::{self, Finding};
use carrel_billing::posting::{self, Run};
use carrel_billing::route::model::{Period, Route};
use carrel_billing::{Billing, route};
use carrel_sis_simulator::{BatchConfig, BatchMode};
use carrel_student_accounts::batch::{BatchHead, BatchRow, EXAMPLES, Layout, RowVerdict};
use carrel_testkit::eventually;
use jiff::SignedDuration;
use jiff::civil::date;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::office::{Office, desk, new_request, usd};
use crate::site::{Site, term_dates};

const STUDENT: &str = "70000001";
const OTHER_STUDENT: &str = "70000402";
/// The same two, as the simulator's statements call them.
const LOADED: &str = "44444444-1111-4111-8111-111111111111";
const OTHER_LOADED: &str = "44444444-1111-4111-8111-222222222222";

/// An office whose student-information system takes files.
struct Files {
    office: Office,
    folder: TempDir,
}

impl Files {
    async fn open(layout: &str) -> Self {
        let (_, text) = EXAMPLES.iter().find(|(name, _)| *name == layout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let site = BatchSite {
            layout: Layout::parse(text).unwrap(),
            folder: folder.path().to_owned(),
            answer_within: SignedDuration::from_secs(3600),
            quiet: Duration::ZERO,
            build_at: vec![],
        };
        site.prepare().unwrap();
        let mut office = Office::open().await;
        office.billing.batches = Some(Arc::new(site));
        for kind in [
            FeeFineKind::OverdueFine,
            FeeFineKind::LostItemFee,
            FeeFineKind::LostItemProcessingFee,
        ] {
            let new_route = Route {
                id: Uuid::nil(),
                institution_code: String::new(),
                kind,
                funding_destination_id: "LIBR".into(),
            };
            route::create_route(&office.billing, &new_request(), new_route)
                .await
                .unwrap();
        }
        let (first_date, last_date) = term_dates();
        let period = Period {
            id: "2263".into(),
            code: "TERM".into(),
            first_date,
            last_date,
        };
        route::create_period(&office.billing, &new_request(), period)
            .await
            .unwrap();
        Self { office, folder }
    }

    fn site(&self) -> &BatchSite {
        self.office.billing.batches.as_deref().unwrap()
    }

    /// The same site with other rules.
    fn change(&mut self, change: impl FnOnce(&mut BatchSite)) {
        let mut site = BatchSite {
            layout: self.site().layout.clone(),
            folder: self.site().folder.clone(),
            answer_within: self.site().answer_within,
            quiet: self.site().quiet,
            build_at: self.site().build_at.clone(),
        };
        change(&mut site);
        self.office.billing.batches = Some(Arc::new(site));
    }

    async fn fine(&self, student: &str, cents: i64) -> Account {
        let patron_id = self.office.student_who_is(student).await;
        self.office.apply(&self.office.fine(patron_id, cents)).await;
        self.office.only_account(patron_id).await
    }

    async fn work(&self) -> Run {
        posting::work_queue(&self.office.billing).await.unwrap()
    }

    /// The files in a folder, by name.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = fs::read_dir(self.folder.path().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .collect();
        paths.sort();
        paths
    }

    /// What the other side reads in the drop folder.
    fn rows(&self) -> Vec<BatchRow> {
        let read = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            self.site()
                .layout
                .read(name, &fs::read(path).unwrap())
                .unwrap()
                .rows
        };
        self.files("out").iter().flat_map(read).collect()
    }

    /// The row of a charge in the only file.
    fn row(&self, account: &Account) -> u32 {
        let is_its = |row: &BatchRow| row.reference.unwrap().to_string() == account.reference;
        self.rows().iter().position(is_its).unwrap() as u32 + 1
    }

    async fn batches(&self) -> Vec<Batch> {
        batch::list(&self.office.billing, None, None, 1_000)
            .await
            .unwrap()
    }

    async fn only_batch(&self) -> Batch {
        let mut batches = self.batches().await;
        assert_eq!(batches.len(), 1);
        batches.remove(0)
    }

    /// The other side's answer to a batch, as bytes under a name.
    fn answer(&self, batch: &Batch, verdicts: &[RowVerdict]) -> (String, Vec<u8>) {
        let head = BatchHead {
            id: batch.id,
            sequence: batch.sequence as u64,
            at: date(2026, 3, 3).at(4, 0, 0, 0),
        };
        self.site().layout.answers()[0]
            .write(&head, &batch.file_name, verdicts)
            .unwrap()
    }

    fn lay_in(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join("in").join(name), bytes).unwrap();
    }

    async fn state(&self, account: &Account) -> PostingState {
        self.office.posting(account, 0).await.state
    }
}

fn verdict(row: u32, account: &Account, cents: i64, accepted: bool) -> RowVerdict {
    RowVerdict {
        row: Some(row),
        reference: Some(account.reference.parse().unwrap()),
        accepted,
        reason: if accepted {
            ""
        } else {
            "Student 70000402 is on hold"
        }
        .into(),
        sis_id: accepted.then(|| format!("AR{row}")),
        amount: Some(usd(cents).amount()),
    }
}

#[tokio::test]
async fn a_days_charges_go_out_as_one_file_and_each_row_is_answered() {
    let files = Files::open("peoplesoft").await;
    let first = files.fine(STUDENT, 1735).await;
    let second = files.fine(OTHER_STUDENT, 500).await;
    let run = files.work().await;
    assert_eq!((run.created, run.batched), (2, 2));
    assert_eq!(files.work().await, Run::default(), "nothing is sent again");
    let rows = files.rows();
    let mut amounts: Vec<_> = rows.iter().map(|row| row.amount.unwrap()).collect();
    amounts.sort();
    assert_eq!(amounts, [usd(500).amount(), usd(1735).amount()]);
    let batch = files.only_batch().await;
    assert_eq!(
        (batch.state, batch.sequence, batch.row_count),
        (BatchState::Delivered, 1, 2)
    );
    assert_eq!(batch.charge_total, usd(2235).amount());
    assert_eq!(files.state(&first).await, PostingState::Submitted);
    assert!(
        files.office.pay(&first, 100).await.is_err(),
        "it is on its way"
    );

    let (name, bytes) = files.answer(
        &batch,
        &[
            verdict(files.row(&first), &first, 1735, true),
            verdict(files.row(&second), &second, 500, false),
        ],
    );
    files.lay_in(&name, &bytes);
    let run = files.work().await;
    assert_eq!((run.acknowledged, run.rejected), (1, 1));
    assert_eq!(files.only_batch().await.state, BatchState::PartlyRejected);
    assert_eq!(files.state(&first).await, PostingState::Acknowledged);
    assert_eq!(files.office.now(&first).await.at_sis, usd(1735));
    let rejected = files.office.posting(&second, 0).await;
    assert_eq!(rejected.state, PostingState::Rejected);
    assert_eq!(rejected.problem, "Student [student] is on hold");
    // What was refused is payable at the desk.
    files.office.pay(&second, 500).await.unwrap();
    files.office.assert_sound().await;

    // The same answer again changes nothing.
    files.lay_in(&name, &bytes);
    assert_eq!(files.work().await, Run::default());
    assert!(files.files("in").is_empty());
    assert_eq!(files.files("in/taken").len(), 2);
    files.office.assert_sound().await;
}

#[tokio::test]
async fn a_credit_follows_in_the_next_file_and_names_its_charge() {
    let files = Files::open("banner-feeder").await;
    let account = files.fine(STUDENT, 1000).await;
    files.work().await;
    let batch = files.only_batch().await;
    let (name, bytes) = files.answer(
        &batch,
        &[verdict(files.row(&account), &account, 1000, true)],
    );
    files.lay_in(&name, &bytes);
    files.work().await;
    assert_eq!(files.only_batch().await.state, BatchState::Acknowledged);
    files.office.waive(&account, 250).await.unwrap();
    files.work().await;
    let credit = files
        .rows()
        .into_iter()
        .find(|row| row.amount.unwrap().is_sign_negative())
        .unwrap();
    assert_eq!(credit.amount, Some(usd(-250).amount()));
    assert_eq!(
        credit.original_reference.unwrap().to_string(),
        account.reference
    );
    let sequences: Vec<i64> = files
        .batches()
        .await
        .iter()
        .map(|batch| batch.sequence)
        .collect();
    assert_eq!(sequences, [2, 1]);
}

#[tokio::test]
async fn a_site_that_takes_back_whole_charges_a_day_later_gets_them_so() {
    let files = Files::open("fixed-width-header-totals").await;
    let (waived, part) = (
        files.fine(STUDENT, 1000).await,
        files.fine(OTHER_STUDENT, 700).await,
    );
    files.work().await;
    // No error list names a row: all were taken.
    let (name, bytes) = files.answer(&files.only_batch().await, &[]);
    files.lay_in(&name, &bytes);
    files.work().await;
    assert_eq!(files.only_batch().await.state, BatchState::Acknowledged);
    files.office.waive(&waived, 1000).await.unwrap();
    files.office.waive(&part, 200).await.unwrap();
    files.work().await;
    assert_eq!(
        files.office.posting(&waived, 1).await.state,
        PostingState::Pending,
        "not on the same day"
    );
    assert_eq!(files.files("out").len(), 1);
    let tomorrow = files.office.billing.clock.now() + SignedDuration::from_hours(24);
    files.office.billing.clock.set(tomorrow).unwrap();
    sqlx::query("update posting set next_attempt_at = created_at - interval '2 days' where state = 'pending'")
        .execute(&files.office.pool)
        .await
        .unwrap();
    files.work().await;
    assert_eq!(
        files.files("out").len(),
        2,
        "credits in a file of their own"
    );
    assert_eq!(
        files.rows().last().unwrap().amount,
        Some(usd(-1000).amount())
    );
    let refused = files.office.posting(&part, 1).await;
    assert_eq!(refused.state, PostingState::Rejected);
    assert!(
        refused.problem.contains("whole charges"),
        "{}",
        refused.problem
    );
}

#[tokio::test]
async fn a_crash_between_the_books_and_the_drop_folder_sends_one_file() {
    let files = Files::open("peoplesoft").await;
    files.fine(STUDENT, 1735).await;
    files.work().await;
    let path = files.files("out").remove(0);
    let bytes = fs::read(&path).unwrap();
    let set = async |sql: &'static str| {
        sqlx::query(sql).execute(&files.office.pool).await.unwrap();
    };
    // The machine died before the file was complete: it is written again, byte for byte.
    fs::remove_file(&path).unwrap();
    set("update posting_batch set state = 'built', staged_at = null, delivered_at = null").await;
    files.work().await;
    assert_eq!(fs::read(&path).unwrap(), bytes);
    // It died after the file was complete and before it was moved: it is moved.
    let staged = files
        .folder
        .path()
        .join("staging")
        .join(path.file_name().unwrap());
    fs::rename(&path, &staged).unwrap();
    set("update posting_batch set state = 'built', delivered_at = null").await;
    files.work().await;
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert!(files.files("staging").is_empty());
    // It died after the move, and the other side has taken the file already: it does not come a second time.
    fs::remove_file(&path).unwrap();
    set("update posting_batch set state = 'built', delivered_at = null").await;
    files.work().await;
    assert!(files.files("out").is_empty());
    assert_eq!(files.only_batch().await.state, BatchState::Delivered);
    assert_eq!(files.office.posting_count().await, 1);
}

#[tokio::test]
async fn a_drop_folder_that_is_away_delays_a_batch_and_loses_nothing() {
    let files = Files::open("peoplesoft").await;
    let account = files.fine(STUDENT, 1735).await;
    let (out, away) = (
        files.folder.path().join("out"),
        files.folder.path().join("away"),
    );
    fs::rename(&out, &away).unwrap();
    assert!(posting::work_queue(&files.office.billing).await.is_err());
    assert_eq!(files.only_batch().await.state, BatchState::Built);
    assert_eq!(files.state(&account).await, PostingState::Submitted);
    fs::rename(&away, &out).unwrap();
    // Somebody else's file is not written over.
    let name = files.only_batch().await.file_name;
    fs::write(out.join(&name), b"not ours").unwrap();
    files.work().await;
    let held = files.only_batch().await;
    assert!(
        held.state == BatchState::Built && held.problem.contains("another file"),
        "{held:?}"
    );
    assert_eq!(fs::read(out.join(&name)).unwrap(), b"not ours");
    fs::remove_file(out.join(&name)).unwrap();
    files.work().await;
    assert_eq!(files.only_batch().await.state, BatchState::Delivered);
    assert_eq!(files.rows().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_right_in_every_part_changes_nothing() {
    let files = Files::open("peoplesoft").await;
    let first = files.fine(STUDENT, 1735).await;
    let second = files.fine(OTHER_STUDENT, 500).await;
    files.work().await;
    let batch = files.only_batch().await;
    let both = [
        verdict(files.row(&first), &first, 1735, true),
        verdict(files.row(&second), &second, 500, true),
    ];
    let (name, right) = files.answer(&batch, &both);
    let text = String::from_utf8(right.clone()).unwrap();
    let mut wrong: Vec<(String, Vec<u8>)> = vec![
        // One wrong byte in its totals.
        (name.clone(), text.replace("22.35", "22.36").into_bytes()),
        (
            name.clone(),
            text.replace("0000000200000002", "0000000200000001")
                .into_bytes(),
        ),
        (name.clone(), right[..right.len() - 20].to_vec()),
    ];
    // About a batch that is not ours: by its name, by its header.
    let stranger = Batch {
        sequence: 99,
        ..batch.clone()
    };
    wrong.push(files.answer(&stranger, &both));
    wrong.push((
        name.clone(),
        text.replace("H000001", "H000099").into_bytes(),
    ));
    // Right in itself, and not what was sent.
    wrong.push(files.answer(
        &batch,
        &[
            verdict(files.row(&first), &first, 1735, true),
            verdict(files.row(&second), &second, 501, true),
        ],
    ));
    wrong.push(files.answer(
        &batch,
        &[
            verdict(files.row(&second), &first, 1735, true),
            verdict(files.row(&first), &second, 500, true),
        ],
    ));
    let unknown = RowVerdict {
        reference: Some("ZZZZZZZZ".parse().unwrap()),
        ..verdict(files.row(&second), &second, 500, true)
    };
    wrong.push(files.answer(
        &batch,
        &[verdict(files.row(&first), &first, 1735, true), unknown],
    ));
    wrong.push(files.answer(
        &batch,
        &[
            verdict(files.row(&first), &first, 1735, true),
            verdict(files.row(&first), &first, 1735, false),
        ],
    ));
    let count = wrong.len();
    for (name, bytes) in wrong {
        files.lay_in(&name, &bytes);
        assert_eq!(
            files.work().await,
            Run::default(),
            "{}",
            String::from_utf8_lossy(&bytes)
        );
        assert_eq!(files.state(&first).await, PostingState::Submitted);
        assert_eq!(files.only_batch().await.state, BatchState::Delivered);
    }
    assert_eq!(files.files("in/refused").len(), count);
    files.lay_in("readme.txt", b"nobody's");
    files.lay_in(&name, &right);
    assert_eq!(files.work().await.acknowledged, 2);
    assert_eq!(files.files("in").len(), 1, "what is no answer stays");
    files.office.assert_sound().await;
}

#[tokio::test]
async fn replicas_that_share_the_queue_the_folder_and_the_inbox_post_nothing_twice() {
    let mut files = Files::open("peoplesoft").await;
    files.change(|site| site.layout.limits.rows = 7);
    let mut accounts = Vec::new();
    for number in 0..40 {
        let student = if number % 2 == 0 {
            STUDENT
        } else {
            OTHER_STUDENT
        };
        accounts.push(files.fine(student, 100 + number).await);
    }
    let replica = || Billing {
        shutdown: CancellationToken::new(),
        ..files.office.billing.clone()
    };
    let together = async || {
        let working: Vec<_> = (0..4)
            .map(|_| {
                let billing = replica();
                tokio::spawn(async move { posting::work_queue(&billing).await.unwrap() })
            })
            .collect();
        for work in working {
            work.await.unwrap();
        }
    };
    together().await;
    together().await;
    let references: Vec<String> = files
        .rows()
        .iter()
        .map(|row| row.reference.unwrap().to_string())
        .collect();
    let distinct: BTreeSet<&String> = references.iter().collect();
    assert_eq!(
        (references.len(), distinct.len()),
        (40, 40),
        "each charge is in one file"
    );
    let batches = files.batches().await;
    let mut sequences: Vec<i64> = batches.iter().map(|batch| batch.sequence).collect();
    sequences.sort_unstable();
    assert_eq!(
        sequences,
        (1..=batches.len() as i64).collect::<Vec<_>>(),
        "without gaps"
    );
    for batch in &batches {
        let path = files.folder.path().join("out").join(&batch.file_name);
        let read = files
            .site()
            .layout
            .read(&batch.file_name, &fs::read(path).unwrap())
            .unwrap();
        let verdicts: Vec<RowVerdict> = read
            .rows
            .iter()
            .enumerate()
            .map(|(index, row)| RowVerdict {
                row: Some(index as u32 + 1),
                reference: row.reference,
                accepted: true,
                reason: String::new(),
                sis_id: None,
                amount: row.amount,
            })
            .collect();
        let (name, bytes) = files.answer(batch, &verdicts);
        files.lay_in(&name, &bytes);
    }
    together().await;
    for account in &accounts {
        let now = files.office.now(account).await;
        assert_eq!(now.at_sis, now.amount);
    }
    assert!(
        files
            .batches()
            .await
            .iter()
            .all(|batch| batch.state == BatchState::Acknowledged)
    );
    files.office.assert_sound().await;
}

#[tokio::test]
async fn what_a_layout_cannot_carry_waits_for_a_person_and_holds_up_no_other() {
    let files = Files::open("peoplesoft").await;
    let odd = files.fine("123456789012345", 900).await;
    let good = files.fine(STUDENT, 1735).await;
    assert_eq!(files.work().await.batched, 1);
    let refused = files.office.posting(&odd, 0).await;
    assert_eq!(refused.state, PostingState::Rejected);
    assert!(
        refused.problem.contains("student-id"),
        "{}",
        refused.problem
    );
    assert_eq!(files.state(&good).await, PostingState::Submitted);
    assert_eq!(files.rows().len(), 1);
}

#[tokio::test]
async fn a_batch_without_an_answer_is_for_people_and_its_late_answer_still_counts() {
    let mut files = Files::open("peoplesoft").await;
    files.change(|site| site.answer_within = SignedDuration::ZERO);
    let account = files.fine(STUDENT, 1735).await;
    files.work().await;
    files.work().await;
    assert_eq!(files.state(&account).await, PostingState::Unknown);
    files.work().await;
    assert_eq!(files.rows().len(), 1, "it is not sent again by itself");
    let batch = files.only_batch().await;
    let (name, bytes) = files.answer(
        &batch,
        &[verdict(files.row(&account), &account, 1735, true)],
    );
    files.lay_in(&name, &bytes);
    files.work().await;
    assert_eq!(files.state(&account).await, PostingState::Acknowledged);
    files.office.assert_sound().await;
}

#[tokio::test]
async fn batches_are_built_at_their_time_of_day_once() {
    let mut files = Files::open("peoplesoft").await;
    let zone = files.office.billing.zone.clone();
    let at = |day: i8, hour, minute| {
        date(2027, 3, day)
            .at(hour, minute, 0, 0)
            .to_zoned(zone.clone())
            .unwrap()
            .timestamp()
    };
    files.change(|site| site.build_at = vec![jiff::civil::time(2, 0, 0, 0)]);
    let pace = posting::worker::Pace {
        interval: Duration::from_millis(10),
        settlement_interval: Duration::from_secs(600),
    };
    sqlx::query("update academic_period set first_date = '2027-01-01', last_date = '2027-06-01'")
        .execute(&files.office.pool)
        .await
        .unwrap();
    files.office.billing.clock.set(at(1, 12, 0)).unwrap();
    let billing = files.office.billing.clone();
    let worker = tokio::spawn(posting::worker::work(billing.clone(), pace));
    let account = files.fine(STUDENT, 1735).await;
    let later = async |what: &str, state| {
        eventually(what, Duration::from_secs(10), async || {
            (files.office.posting_count().await == 1 && files.state(&account).await == state)
                .then_some(())
        })
        .await;
    };
    later("it waits for the night", PostingState::Pending).await;
    billing.clock.set(at(2, 2, 0)).unwrap();
    later("it went at two", PostingState::Submitted).await;
    let other = files.fine(OTHER_STUDENT, 100).await;
    eventually("the other waits", Duration::from_secs(10), async || {
        (files.office.posting_count().await == 2).then_some(())
    })
    .await;
    billing.shutdown.cancel();
    worker.await.unwrap();
    assert_eq!(files.state(&other).await, PostingState::Pending);
    assert_eq!(files.batches().await.len(), 1);
}

#[tokio::test]
async fn only_what_may_leave_is_in_the_file() {
    let files = Files::open("peoplesoft").await;
    let patron_id = files.office.student_who_is(STUDENT).await;
    let loss = files.office.loss(patron_id, 4500, 1000);
    files.office.apply(&loss).await;
    files.work().await;
    let account = files.office.accounts(patron_id).await.remove(0);
    let path = files.files("out").remove(0);
    let text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    for secret in [
        patron_id,
        account.id,
        account.fee_fine_owner_id,
        loss.loan_id.parse().unwrap(),
        loss.item_id.parse().unwrap(),
        loss.loss_id.parse().unwrap(),
    ] {
        assert!(
            !text.contains(&secret.to_string()) && !text.contains(&secret.simple().to_string())
        );
    }
    assert!(!text.contains("ALD"), "the library does not leave");
    let days: Vec<&str> = text.lines().filter(|line| line.starts_with('D')).collect();
    assert_eq!(days.len(), 2);
    assert!(
        days.iter()
            .all(|day| day.contains(STUDENT) && day.contains("Library lost-item ")),
        "{days:?}"
    );
}

/// A simulator that works the office's drop folder, with the two students and the term.
async fn loading_site(files: &Files) -> Site {
    let batches = BatchConfig {
        folder: files.folder.path().to_owned(),
        layout: files.site().layout.clone(),
        mode: BatchMode::Update,
    };
    let site = Site::open_with(|config| config.batches = Some(batches)).await;
    let persons = json!([
        { "id": LOADED, "number": STUDENT },
        { "id": OTHER_LOADED, "number": OTHER_STUDENT },
    ]);
    site.admin(Method::PUT, "persons", Some(persons)).await;
    let (first, last) = term_dates();
    let term = json!([{ "id": LOADED, "code": "2263", "startOn": first.to_string(), "endOn": last.to_string(), "open": true }]);
    site.admin(Method::PUT, "academic-periods", Some(term))
        .await;
    site
}

#[tokio::test]
async fn a_load_that_rejects_and_is_run_again_posts_each_row_once() {
    let files = Files::open("peoplesoft").await;
    let site = loading_site(&files).await;
    site.arm(
        json!({ "on": "batch-row", "kind": "reject", "probability": 0.3, "times": 8, "seed": 3 }),
    )
    .await;
    let mut accounts = Vec::new();
    for number in 0..30 {
        let student = if number % 2 == 0 {
            STUDENT
        } else {
            OTHER_STUDENT
        };
        accounts.push(files.fine(student, 100 + number).await);
    }
    eventually(
        "all are on the student accounts",
        Duration::from_secs(30),
        async || {
            files.work().await;
            for posting in work::list(&files.office.billing, None, 100).await.unwrap() {
                assert_eq!(posting.problem, "rejected on demand");
                posting::retry(&files.office.billing, &new_request(), &desk(), posting.id)
                    .await
                    .unwrap();
            }
            let mut missing = 0;
            for account in &accounts {
                let now = files.office.now(account).await;
                missing += usize::from(now.at_sis != now.amount);
            }
            (missing == 0).then_some(())
        },
    )
    .await;
    assert!(
        files.batches().await.len() > 1,
        "what was rejected went in later batches"
    );
    let lines = async || {
        let mut lines = site.lines(LOADED).await;
        lines.extend(site.lines(OTHER_LOADED).await);
        lines
    };
    let texts: BTreeSet<String> = lines().await.into_iter().map(|(text, _)| text).collect();
    assert_eq!(
        (lines().await.len(), texts.len()),
        (30, 30),
        "each charge once"
    );
    // Somebody lays the first file into the drop folder again.
    let loaded = files.files("out/loaded").remove(0);
    let again = files
        .folder
        .path()
        .join("out")
        .join(loaded.file_name().unwrap());
    fs::rename(&loaded, &again).unwrap();
    eventually("it is refused", Duration::from_secs(10), async || {
        (!again.exists() && files.files("out/duplicate").len() == 1).then_some(())
    })
    .await;
    assert_eq!(lines().await.len(), 30);
    files.office.assert_sound().await;
}

#[tokio::test]
async fn a_load_whose_list_is_damaged_is_found_out_by_a_person() {
    let mut files = Files::open("peoplesoft").await;
    files.change(|site| site.answer_within = SignedDuration::from_secs(1));
    let site = loading_site(&files).await;
    site.arm(json!({ "on": "batch-answer", "kind": "garble-after-commit" }))
        .await;
    let account = files.fine(STUDENT, 1735).await;
    eventually("nobody knows", Duration::from_secs(15), async || {
        files.work().await;
        (files.state(&account).await == PostingState::Unknown).then_some(())
    })
    .await;
    assert_eq!(files.files("in/refused").len(), 1);
    let waiting = work::list(&files.office.billing, None, 10)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        site.amounts(LOADED).await,
        ["17.35"],
        "the person sees it there"
    );
    let found = Finding::Found(String::new());
    let seen = "the statement bears its reference";
    work::resolve_unknown(
        &files.office.billing,
        &new_request(),
        &desk(),
        waiting.id,
        &found,
        seen,
    )
    .await
    .unwrap();
    files.work().await;
    assert_eq!(files.only_batch().await.state, BatchState::Acknowledged);
    assert_eq!(site.amounts(LOADED).await, ["17.35"]);
    files.office.assert_sound().await;
}

#[tokio::test]
async fn after_a_restore_nothing_goes_out_again_and_no_number_is_given_twice() {
    let mut files = Files::open("peoplesoft").await;
    let sent = files.fine(STUDENT, 1735).await;
    files.work().await;
    let batch = files.only_batch().await;
    let waiting = files.fine(OTHER_STUDENT, 500).await;
    files.change(|site| site.answer_within = SignedDuration::ZERO);
    sqlx::query("update feed_head set epoch = gen_random_uuid()")
        .execute(&files.office.pool)
        .await
        .unwrap();
    files.work().await;
    // Nobody can be asked: what may have gone out already is for people.
    for account in [&sent, &waiting] {
        assert_eq!(files.state(account).await, PostingState::Unknown);
    }
    assert_eq!(files.rows().len(), 1);
    let (name, bytes) = files.answer(&batch, &[verdict(1, &sent, 1735, true)]);
    files.lay_in(&name, &bytes);
    files.work().await;
    assert_eq!(
        files.state(&sent).await,
        PostingState::Acknowledged,
        "its answer still counts"
    );
    let unknown = files.office.posting(&waiting, 0).await;
    let absent = "none of the loaded files names its reference";
    eventually(
        "the person has looked",
        Duration::from_secs(10),
        async || {
            work::resolve_unknown(
                &files.office.billing,
                &new_request(),
                &desk(),
                unknown.id,
                &Finding::NotFound,
                absent,
            )
            .await
            .ok()
        },
    )
    .await;
    files.work().await;
    let sequences: Vec<i64> = files
        .batches()
        .await
        .iter()
        .map(|batch| batch.sequence)
        .collect();
    assert_eq!(
        sequences,
        [1_002, 1],
        "numbers that the backup has forgotten are left out"
    );
    files.office.assert_sound().await;
}
