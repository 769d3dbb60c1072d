//! Rosters, and rows of them, that are refused.

use std::time::Duration;

use carrel_proto::patrons::v1::load_roster_request::Content;
use carrel_proto::patrons::v1::{LoadRosterRequest, RosterHeader};
use carrel_testkit::{TcpProxy, Upstream, eventually, test_data};
use tonic::Code;

use crate::desk::{Desk, reason};
use crate::rosters::{load, load_as, options, send};

const HEADER: &str = "source,external_id,barcode,patron_group,last_name\n";

#[tokio::test]
async fn a_file_whose_columns_are_not_understood_is_refused() {
    let desk = Desk::open().await;
    for (file, why) in [
        ("", "ROSTER_COLUMNS"),
        ("sis,A1,21,undergraduate,Alderleaf\n", "ROSTER_COLUMNS"),
        ("source,barcode\nsis,21\n", "ROSTER_COLUMNS"),
        ("source,external_id,shoe_size\nsis,A1,9\n", "ROSTER_COLUMNS"),
        ("source,external_id,source\nsis,A1,sis\n", "ROSTER_COLUMNS"),
        (
            "source,external_id,ssn\nsis,A1,\n",
            "SOCIAL_SECURITY_NUMBER_REFUSED",
        ),
        (
            "source,external_id,Social Security No.\nsis,A1,\n",
            "SOCIAL_SECURITY_NUMBER_REFUSED",
        ),
    ] {
        let refused = load(&desk, file, options()).await;
        assert_eq!(refused.as_ref().unwrap_err().code(), Code::InvalidArgument);
        assert!(
            !refused
                .as_ref()
                .unwrap_err()
                .message()
                .contains("Alderleaf")
        );
        assert_eq!(reason(refused), why, "{file:?}");
    }
    assert_eq!(desk.count("select count(*) from patron").await, 0);
}

#[tokio::test]
async fn a_bad_row_is_refused_alone_and_its_values_are_not_repeated() {
    let desk = Desk::open().await;
    let mut file = HEADER.as_bytes().to_vec();
    for row in [
        &b"sis,A1,21,undergraduate,Alderleaf"[..],
        b"sis,A1,22,undergraduate,Alderleaf",
        b"sis,A2,22,undergraduate",
        b"sis,A3,2 3,undergraduate,Fernbough",
        b"sis,A4,24,Undergraduate,Fernbough",
        b"sis,A5,25,alumni,Fernbough",
        b"sis,A6,26,undergraduate,Pi\xf1on",
        b"sis,A7,27,undergraduate,\"Fern\nbough\"",
        b"sis,,28,undergraduate,Fernbough",
        b"s i s,A8,28,undergraduate,Fernbough",
        b"sis,A9,29,undergraduate,078-05-1120",
        b"sis,A10,21,undergraduate,Fernbough",
        b"sis,A11,31,undergraduate,Mosswort",
    ] {
        file.extend_from_slice(row);
        file.push(b'\n');
    }
    let loaded = load_as(&desk.technician(), &file, options()).await.unwrap();
    assert_eq!(
        loaded.refused(),
        [
            (3, "", "ROW_REPEATED"),
            (4, "", "COLUMN_COUNT"),
            (5, "barcode", "BARCODE_MALFORMED"),
            (6, "patron_group", "PATRON_GROUP_CODE_MALFORMED"),
            (7, "patron_group", "PATRON_GROUP_UNKNOWN"),
            (8, "", "NOT_UTF_8"),
            (9, "last_name", "TEXT_MALFORMED"),
            (11, "external_id", "FIELD_MISSING"),
            (12, "source", "CODE_MALFORMED"),
            (13, "last_name", "SOCIAL_SECURITY_NUMBER_REFUSED"),
            (14, "barcode", "PATRON_BARCODE_TAKEN"),
        ]
    );
    assert_eq!(loaded.numbers(), [13, 2, 0, 0, 11, 0]);
    for problem in &loaded.problems {
        for value in ["Fern", "alumni", "078", "A10", "Undergrad"] {
            assert!(
                !problem.description.contains(value),
                "{}",
                problem.description
            );
        }
    }
    // Nowhere: neither in the list of problems nor in what was put aside.
    let kept = "select count(*) from roster_problem where description like '%078%'";
    assert_eq!(desk.count(kept).await, 0);
}

#[tokio::test]
async fn a_roster_without_names_adds_nobody() {
    let desk = Desk::open().await;
    let file = "source,external_id,active\nsis,A1,true\n";
    let loaded = load(&desk, file, options()).await.unwrap();
    assert_eq!(loaded.refused(), [(2, "last_name", "COLUMN_NEEDED_TO_ADD")]);
}

#[tokio::test]
async fn nobody_loads_a_change_of_their_own_account() {
    let desk = Desk::open().await;
    let file =
        format!("{HEADER}sis,A1,21,undergraduate,Alderleaf\nsis,A2,22,undergraduate,Fernbough\n");
    load(&desk, &file, options()).await.unwrap();
    let own = desk.technician().find("alderleaf").await.unwrap().remove(0);
    let clerk = desk.caller(&format!("patron:{}", own.id), &["patrons.rosters.load"]);
    let same = load_as(&clerk, file.as_bytes(), options()).await.unwrap();
    assert_eq!(same.numbers(), [2, 0, 0, 2, 0, 0]);
    let promoted = file.replace("undergraduate", "faculty");
    let loaded = load_as(&clerk, promoted.as_bytes(), options())
        .await
        .unwrap();
    assert_eq!(loaded.refused(), [(2, "", "OWN_ACCOUNT")]);
    assert_eq!(loaded.numbers(), [2, 0, 1, 0, 1, 0]);
}

#[tokio::test]
async fn a_load_is_a_header_and_then_chunks() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let chunk = |size: usize| Content::Chunk(vec![b'x'; size]);
    for contents in [
        vec![],
        vec![chunk(1)],
        vec![Content::Header(options()), Content::Header(options())],
        vec![Content::Header(options()), chunk((1 << 20) + 1)],
    ] {
        let refused = send(&technician, contents).await;
        assert_eq!(reason(refused), "ROSTER_STREAM_MALFORMED");
    }
    for (header, why) in [
        (
            RosterHeader {
                request_id: String::new(),
                ..options()
            },
            "REQUEST_ID_MISSING",
        ),
        (
            RosterHeader {
                request_id: "7".into(),
                ..options()
            },
            "ID_MALFORMED",
        ),
        (
            RosterHeader {
                max_deactivations: -1,
                ..options()
            },
            "NUMBER_NEGATIVE",
        ),
    ] {
        assert_eq!(reason(load(&desk, HEADER, header).await), why);
    }
    let reader = desk.caller("reader", &["patrons.patrons.read"]);
    assert_eq!(
        reason(load_as(&reader, b"", options()).await),
        "PERMISSION_DENIED"
    );
}

#[tokio::test]
async fn an_open_quote_refuses_the_file_with_its_line() {
    let desk = Desk::open().await;
    let rows = "sis,A2,22,undergraduate,Fernbough\n".repeat(10_000);
    let file = format!("{HEADER}sis,A1,21,undergraduate,\"Alderleaf\n{rows}");
    let refused = load(&desk, &file, options()).await;
    assert!(refused.as_ref().unwrap_err().message().contains("line 2"));
    assert_eq!(reason(refused), "ROSTER_ROW_TOO_LONG");
}

#[tokio::test]
async fn a_file_whose_sender_goes_away_is_not_kept() {
    let desk = Desk::open().await;
    let (outgoing, messages) = tokio::sync::mpsc::channel(10);
    // More than one batch, so that rows are put aside while the file arrives.
    let many: String = (0..1_500)
        .map(|n| format!("sis,A{n},,undergraduate,Alderleaf\n"))
        .collect();
    for content in [
        Content::Header(options()),
        Content::Chunk(format!("{HEADER}{many}").into()),
    ] {
        outgoing
            .send(LoadRosterRequest {
                content: Some(content),
            })
            .await
            .unwrap();
    }
    let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
    let proxy = TcpProxy::to(Upstream::Tcp(desk.running.address())).await;
    let mut rosters = desk.technician_behind(&proxy).rosters;
    let mut answers = rosters.load_roster(messages).await.unwrap().into_inner();
    let progress = answers.message().await.unwrap().unwrap();
    assert_eq!((progress.read_count, progress.finished), (1_000, false));
    assert_eq!(desk.count("select count(*) from roster_row").await, 1_000);
    proxy.cut();
    eventually(
        "what was put aside is forgotten",
        Duration::from_secs(10),
        async || {
            let left = desk.count("select count(*) from roster_row").await;
            (left == 0).then_some(())
        },
    )
    .await;
    assert!(answers.message().await.is_err());
    assert_eq!(desk.count("select count(*) from patron").await, 0);
}

#[tokio::test]
async fn files_of_other_systems_are_refused_with_their_reason() {
    let Some(folder) = test_data() else { return };
    let desk = Desk::open().await;
    let mut count = 0;
    for system in std::fs::read_dir(folder.join("patrons")).unwrap() {
        let system = system.unwrap().path();
        if !system.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(system).unwrap() {
            let file = file.unwrap().path();
            let refused = load_as(
                &desk.technician(),
                &std::fs::read(&file).unwrap(),
                options(),
            )
            .await;
            let why = reason(refused);
            let expected = ["ROSTER_COLUMNS", "ROSTER_ROW_TOO_LONG"];
            assert!(expected.contains(&&*why), "{}: {why}", file.display());
            count += 1;
        }
    }
    assert!(count > 10, "only {count} files");
    assert_eq!(desk.count("select count(*) from patron").await, 0);
}
