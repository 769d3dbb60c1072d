//! Rosters that are taken.

use std::time::{Duration, Instant};

use carrel_proto::patrons::v1::load_roster_request::Content;
use carrel_proto::patrons::v1::{
    LoadRosterRequest, LoadRosterResponse, ManualBlock, Patron, PatronStandingChanged,
    RosterHeader, RosterProblem, StudentLinkChanged,
};
use carrel_testkit::eventually;
use tonic::Status;

use crate::desk::{Caller, Desk, date, new_id, reason, student};

/// What a load answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub counts: LoadRosterResponse,
    pub problems: Vec<RosterProblem>,
}

impl Loaded {
    /// Line, column and reason of the refused rows.
    pub fn refused(&self) -> Vec<(i64, &str, &str)> {
        self.problems
            .iter()
            .map(|p| (p.line, &*p.column, &*p.reason))
            .collect()
    }

    /// Read, created, updated, unchanged, failed, deactivated.
    pub fn numbers(&self) -> [i64; 6] {
        let counts = &self.counts;
        [
            counts.read_count,
            counts.created_count,
            counts.updated_count,
            counts.unchanged_count,
            counts.failed_count,
            counts.deactivated_count,
        ]
    }
}

/// A load that is kept and deactivates nobody.
pub fn options() -> RosterHeader {
    RosterHeader {
        request_id: new_id(),
        dry_run: false,
        max_deactivations: 0,
    }
}

pub async fn load(desk: &Desk, file: &str, header: RosterHeader) -> Result<Loaded, Status> {
    load_as(&desk.technician(), file.as_bytes(), header).await
}

pub async fn load_as(caller: &Caller, file: &[u8], header: RosterHeader) -> Result<Loaded, Status> {
    let mut contents = vec![Content::Header(header)];
    contents.extend(
        file.chunks(100_000)
            .map(|chunk| Content::Chunk(chunk.to_vec())),
    );
    send(caller, contents).await
}

pub async fn send(caller: &Caller, contents: Vec<Content>) -> Result<Loaded, Status> {
    let messages = contents.into_iter().map(|content| LoadRosterRequest {
        content: Some(content),
    });
    let outgoing = tokio_stream::iter(messages.collect::<Vec<_>>());
    let mut answers = caller
        .rosters
        .clone()
        .load_roster(outgoing)
        .await?
        .into_inner();
    let mut problems = Vec::new();
    while let Some(mut answer) = answers.message().await? {
        problems.append(&mut answer.problems);
        if answer.finished {
            assert_eq!(
                answers.message().await?,
                None,
                "nothing comes after the last answer"
            );
            return Ok(Loaded {
                counts: answer,
                problems,
            });
        }
    }
    panic!("the load ended without its last answer");
}

const HEADER: &str = "source,external_id,barcode,username,patron_group,last_name,first_name,\
                      expiration_date,student_id,active";

fn roster(rows: &[&str]) -> String {
    let mut file = format!("{HEADER}\n");
    for row in rows {
        file.push_str(row);
        file.push('\n');
    }
    file
}

async fn patrons(desk: &Desk) -> Vec<Patron> {
    let all = carrel_proto::patrons::v1::ListPatronsRequest {
        page_size: 1_000,
        ..Default::default()
    };
    desk.technician()
        .patrons
        .list_patrons(all)
        .await
        .unwrap()
        .into_inner()
        .patrons
}

#[tokio::test]
async fn a_semester_begins_and_the_same_roster_again_changes_nothing() {
    let desk = Desk::open().await;
    let file = roster(&[
        "sis,A1,21,jalder,undergraduate,Alderleaf,Juniper,2027-05-28,S1,true",
        "sis,A2,,,undergraduate,\"Sedgewort, Jr.\",Linden,,S2,yes",
        "library,C1,23,,community,Piñonseed,Maguey,2027-06-30,,false",
    ]);
    let first = load(&desk, &file, options()).await.unwrap();
    assert_eq!(first.numbers(), [3, 3, 0, 0, 0, 0]);
    assert_eq!(desk.events_of::<PatronStandingChanged>().await.len(), 3);
    assert_eq!(desk.events_of::<StudentLinkChanged>().await.len(), 3);
    let patron = &desk.technician().find("sedge").await.unwrap()[0];
    assert_eq!(
        (
            &*patron.last_name,
            &*patron.source,
            &*patron.external_id,
            &*patron.student_id
        ),
        ("Sedgewort, Jr.", "sis", "A2", "S2")
    );
    let before = patrons(&desk).await;

    let second = load(&desk, &file.replace('\n', "\r\n"), options())
        .await
        .unwrap();
    assert_eq!(second.numbers(), [3, 0, 0, 3, 0, 0]);
    assert_eq!(patrons(&desk).await, before);
    assert_eq!(desk.events().await.len(), 6);
}

#[tokio::test]
async fn what_the_roster_does_not_name_stays_as_it_is() {
    let desk = Desk::open().await;
    let file = roster(&["sis,A1,21,jalder,undergraduate,Alderleaf,Juniper,2027-05-28,S1,true"]);
    load(&desk, &file, options()).await.unwrap();
    let patron = patrons(&desk).await.remove(0);
    let by_hand = Patron {
        phone: "530-555-0101".into(),
        home_library: "ALDM".into(),
        barcode: "2100".into(),
        ..patron
    };
    let paths = ["phone", "home_library", "barcode"];
    let patron = desk.update(by_hand, &paths).await.unwrap();
    let block = ManualBlock {
        patron_id: patron.id.clone(),
        patron_message: "Please see the desk".into(),
        blocks_borrowing: true,
        ..Default::default()
    };
    desk.technician().block(block).await.unwrap();

    // The roster knows of no card: the one issued at the desk stays.
    let file = roster(&["sis,A1,,jalder,faculty,Alderleaf,,,S1,true"]);
    let loaded = load(&desk, &file, options()).await.unwrap();
    assert_eq!(loaded.numbers(), [1, 0, 1, 0, 0, 0]);
    let changed = patrons(&desk).await.remove(0);
    let expected = Patron {
        patron_group: "faculty".into(),
        first_name: String::new(),
        expiration_date: None,
        revision: 3,
        etag: changed.etag.clone(),
        ..patron
    };
    assert_eq!(changed, expected);
    assert_eq!(
        desk.count("select count(*) from manual_block where lifted_at is null")
            .await,
        1
    );

    // Three columns change three things.
    let file = "expiration_date,external_id,source\n2026-12-18,A1,sis\n";
    load(&desk, file, options()).await.unwrap();
    let dated = patrons(&desk).await.remove(0);
    assert_eq!(dated.expiration_date, Some(date(2026, 12, 18)));
    assert_eq!(dated.patron_group, "faculty");
}

#[tokio::test]
async fn a_name_makes_nobody_the_same_person() {
    let desk = Desk::open().await;
    desk.create(Patron {
        first_name: "Juniper".into(),
        ..student("Alderleaf", "20")
    })
    .await
    .unwrap();
    let file = roster(&[
        "sis,A1,21,,undergraduate,Alderleaf,Juniper,,,true",
        "other,A1,22,,undergraduate,Alderleaf,Juniper,,,true",
    ]);
    let loaded = load(&desk, &file, options()).await.unwrap();
    assert_eq!(loaded.numbers(), [2, 2, 0, 0, 0, 0]);
    assert_eq!(desk.technician().find("alderleaf").await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_dry_run_says_what_the_load_then_does_and_changes_nothing() {
    let desk = Desk::open().await;
    let file = roster(&[
        "sis,A1,21,,undergraduate,Alderleaf,Juniper,,,true",
        "sis,A2,22,,undergraduate,Fernbough,Sorrel,,,true",
    ]);
    load(&desk, &file, options()).await.unwrap();
    let before = (patrons(&desk).await, desk.events().await);
    let file = roster(&[
        "sis,A1,21,,undergraduate,Alderleaf,Juniper,,,true",
        "sis,A2,22,,undergraduate,Fernbough,Sorrel,,,false",
        "sis,A3,21,,undergraduate,Mosswort,Yarrow,,,true",
        "sis,A4,24,,undergraduate,Reedbloom,Clover,,,true",
        "sis,A5,24,,alumni,Reedbloom,Clover,,,true",
        "sis,A6,26,,undergraduate,,Clover,,,true",
    ]);
    let header = RosterHeader {
        max_deactivations: 1,
        ..options()
    };
    let dry = RosterHeader {
        dry_run: true,
        ..header.clone()
    };
    let said = load(&desk, &file, dry).await.unwrap();
    assert_eq!(said.numbers(), [6, 1, 1, 1, 3, 1]);
    assert_eq!((patrons(&desk).await, desk.events().await), before);
    assert_eq!(desk.count("select count(*) from roster_load").await, 1);

    // The dry run's request id was not used up.
    let done = load(&desk, &file, header).await.unwrap();
    assert_eq!(done, said);
    assert_eq!(patrons(&desk).await.len(), 3);
}

#[tokio::test]
async fn a_load_that_would_deactivate_too_many_is_not_kept_at_all() {
    let desk = Desk::open().await;
    let row = |n: usize, active: bool| {
        format!("sis,A{n},2{n},,undergraduate,Alderleaf,Juniper,,,{active}\n")
    };
    let all: String = (0..9).map(|n| row(n, true)).collect();
    load(&desk, &format!("{HEADER}\n{all}"), options())
        .await
        .unwrap();
    let before = (patrons(&desk).await, desk.events().await);

    let fewer: String = (0..9)
        .map(|n| row(n, n > 2))
        .chain([row(10, true)])
        .collect();
    let fewer = format!("{HEADER}\n{fewer}");
    let header = RosterHeader {
        max_deactivations: 2,
        ..options()
    };
    for dry_run in [true, false] {
        let refused = load(
            &desk,
            &fewer,
            RosterHeader {
                dry_run,
                ..header.clone()
            },
        )
        .await;
        assert!(
            refused
                .as_ref()
                .unwrap_err()
                .message()
                .contains("3 accounts and 2 are allowed")
        );
        assert_eq!(reason(refused), "ROSTER_TOO_MANY_DEACTIVATIONS");
        assert_eq!((patrons(&desk).await, desk.events().await), before);
    }
    // The refused load's request id is still free.
    let header = RosterHeader {
        max_deactivations: 3,
        ..header
    };
    let loaded = load(&desk, &fewer, header).await.unwrap();
    assert_eq!(loaded.numbers(), [10, 1, 3, 6, 0, 3]);
    assert_eq!(desk.count("select count(*) from roster_row").await, 0);
}

#[tokio::test]
async fn a_repeated_load_gets_the_first_answer_also_at_the_same_time() {
    let desk = Desk::open().await;
    let file = roster(&[
        "sis,A1,21,,undergraduate,Alderleaf,Juniper,,,true",
        "sis,A2,21,,undergraduate,Fernbough,Sorrel,,,true",
        "sis,A3,23,,undergraduate,,Sorrel,,,true",
    ]);
    let header = options();
    let again = (0..4).map(|_| load(&desk, &file, header.clone()));
    let outcomes = futures::future::join_all(again).await;
    let first = outcomes[0].as_ref().unwrap();
    assert_eq!(first.numbers(), [3, 1, 0, 0, 2, 0]);
    assert_eq!(
        first.refused(),
        [
            (3, "barcode", "PATRON_BARCODE_TAKEN"),
            (4, "last_name", "FIELD_MISSING")
        ]
    );
    for outcome in &outcomes {
        assert_eq!(outcome.as_ref().unwrap(), first);
    }
    assert_eq!(load(&desk, &file, header.clone()).await.unwrap(), *first);
    assert_eq!(desk.events_of::<PatronStandingChanged>().await.len(), 1);

    // Another file, or other conditions, under the same id are another load.
    let other = file.replace("Fernbough", "Fernleaf");
    assert_eq!(
        reason(load(&desk, &other, header.clone()).await),
        "REQUEST_ID_REUSED"
    );
    let other = RosterHeader {
        max_deactivations: 5,
        ..header
    };
    assert_eq!(reason(load(&desk, &file, other).await), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn the_desk_may_be_quicker_than_the_load() {
    let desk = Desk::open().await;
    // Somebody at the desk is about to give barcode 22 away.
    let mut at_desk = desk.pool().begin().await.unwrap();
    sqlx::query(
        "insert into patron (id, barcode, barcode_hmac, patron_group, last_name, first_name,
             middle_name, email, phone, home_library, affiliation, student_id, active, revision,
             last_name_key, first_name_key)
         values ($1, '22', $2, 'faculty', 'Reedbloom', '', '', '', '', '', '', '', true, 1,
             'reedbloom', '')",
    )
    .bind(carrel_ids::new_id())
    .bind(&desk.barcode_key.hash("22")[..])
    .execute(&mut *at_desk)
    .await
    .unwrap();
    let file = roster(&[
        "sis,A1,21,,undergraduate,Alderleaf,Juniper,,,true",
        "sis,A2,22,,undergraduate,Fernbough,Sorrel,,,true",
    ]);
    let loading = load(&desk, &file, options());
    let committing = async {
        eventually(
            "the load waits for the desk",
            Duration::from_secs(20),
            async || {
                let waiting = desk
                    .count("select count(*) from pg_locks where not granted")
                    .await;
                (waiting > 0).then_some(())
            },
        )
        .await;
        at_desk.commit().await.unwrap();
    };
    let (loaded, ()) = tokio::join!(loading, committing);
    let loaded = loaded.unwrap();
    assert_eq!(loaded.numbers(), [2, 1, 0, 0, 1, 0]);
    assert_eq!(loaded.refused(), [(3, "barcode", "PATRON_BARCODE_TAKEN")]);
}

#[tokio::test]
async fn a_barcode_passes_on_within_one_roster_where_its_holder_comes_first() {
    let desk = Desk::open().await;
    let file = roster(&[
        "sis,A1,21,jalder,undergraduate,Alderleaf,Juniper,,,true",
        "sis,A2,22,sfern,undergraduate,Fernbough,Sorrel,,,true",
    ]);
    load(&desk, &file, options()).await.unwrap();
    let file = roster(&[
        "sis,A1,23,alder2,undergraduate,Alderleaf,Juniper,,,true",
        "sis,A2,21,jalder,undergraduate,Fernbough,Sorrel,,,true",
        "sis,A3,22,sfern,undergraduate,Mosswort,Yarrow,,,true",
    ]);
    let loaded = load(&desk, &file, options()).await.unwrap();
    assert_eq!(loaded.numbers(), [3, 1, 2, 0, 0, 0]);
    let mut barcodes: Vec<_> = patrons(&desk)
        .await
        .into_iter()
        .map(|patron| (patron.external_id, patron.barcode, patron.username))
        .collect();
    barcodes.sort();
    let expected = [
        ("A1", "23", "alder2"),
        ("A2", "21", "jalder"),
        ("A3", "22", "sfern"),
    ];
    let expected = expected.map(|(id, barcode, name)| (id.into(), barcode.into(), name.into()));
    assert_eq!(barcodes, expected);
}

#[tokio::test]
async fn the_samples_are_taken_and_their_faults_found() {
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../carrel/samples");
    let read = |name: &str| std::fs::read_to_string(samples.join(name)).unwrap();
    let desk = Desk::open().await;
    for code in ["dual-enrolled", "staff", "adjunct"] {
        let request = carrel_proto::patrons::v1::CreatePatronGroupRequest {
            patron_group: Some(carrel_proto::patrons::v1::PatronGroup {
                id: String::new(),
                code: code.into(),
                name: code.into(),
            }),
            request_id: new_id(),
        };
        desk.technician()
            .groups
            .create_patron_group(request)
            .await
            .unwrap();
    }
    let file = read("patrons.csv");
    let rows = i64::try_from(file.lines().count() - 1).unwrap();
    let loaded = load(&desk, &file, options()).await.unwrap();
    assert_eq!(loaded.numbers(), [rows, rows, 0, 0, 0, 0]);

    let loaded = load(&desk, &read("patrons-with-errors.csv"), options())
        .await
        .unwrap();
    assert_eq!(
        loaded.refused(),
        [
            (3, "barcode", "PATRON_BARCODE_TAKEN"),
            (4, "barcode", "PATRON_BARCODE_TAKEN"),
            (5, "username", "PATRON_USERNAME_TAKEN"),
            (7, "patron_group", "PATRON_GROUP_UNKNOWN"),
            (8, "enrollment_date", "DATE_MALFORMED"),
            (9, "external_id", "SOCIAL_SECURITY_NUMBER_REFUSED"),
            (10, "last_name", "FIELD_MISSING"),
            (11, "external_id", "FIELD_MISSING"),
            (12, "", "COLUMN_COUNT"),
            (13, "", "COLUMN_COUNT"),
            (14, "expiration_date", "DATE_MALFORMED"),
            (15, "active", "FLAG_MALFORMED"),
        ]
    );
    assert_eq!(loaded.numbers(), [16, 3, 1, 0, 12, 0]);
}

#[tokio::test]
async fn fifty_thousand_students_are_loaded_in_one_go() {
    let desk = Desk::open().await;
    let mut file = format!("{HEADER}\n");
    for n in 0..50_000 {
        file.push_str(&format!(
            "sis,A{n:06},20417{n:09},user{n},undergraduate,Alder{n},Juniper,2027-05-28,S{n},true\n"
        ));
    }
    let started = Instant::now();
    let loaded = load(&desk, &file, options()).await.unwrap();
    assert_eq!(loaded.numbers(), [50_000, 50_000, 0, 0, 0, 0]);
    eprintln!("50,000 new patrons took {:?}", started.elapsed());
    assert_eq!(desk.count("select count(*) from patron").await, 50_000);
    assert_eq!(desk.count("select count(*) from outbox").await, 100_000);

    let started = Instant::now();
    let changed = file.replace("2027-05-28", "2026-12-18");
    let loaded = load(&desk, &changed, options()).await.unwrap();
    assert_eq!(loaded.numbers(), [50_000, 0, 50_000, 0, 0, 0]);
    eprintln!("50,000 changed patrons took {:?}", started.elapsed());

    let started = Instant::now();
    let loaded = load(&desk, &changed, options()).await.unwrap();
    assert_eq!(loaded.numbers(), [50_000, 0, 0, 50_000, 0, 0]);
    eprintln!("50,000 unchanged patrons took {:?}", started.elapsed());
    // Each part of a search is a range of its index.
    let found = desk.technician().find("alder4999").await.unwrap();
    assert_eq!(found.len(), 11);
}
