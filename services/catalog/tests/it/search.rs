//! Stories of looking for things.

use carrel_proto::catalog::v1::{GetRecordRequest, Record, RecordFormat, SearchRecordsRequest};
use tonic::Code;

use crate::desk::{Desk, header, new_id, refusal};
use crate::marc::{book, file, of_type};

async fn catalog() -> Desk {
    let desk = Desk::open().await;
    desk.district().await;
    let records = file(&[
        book("1", "Émile, ou De l'éducation /")
            .control("008", "250818s1762    fr            000 0 fre d")
            .data("020", &[('a', "0-393-04002-X")])
            .data(
                "100",
                &[('a', "Rousseau, Jean-Jacques,"), ('d', "1712-1778.")],
            )
            .data("650", &[('a', "Education"), ('x', "Philosophy.")]),
        book("2", "Moby-Dick, or, The whale /")
            .control("008", "250818s1851    nyu           000 1 eng d")
            .data("010", &[('a', "   85000002 ")])
            .data("100", &[('a', "Melville, Herman,"), ('d', "1819-1891.")])
            .copy("21", "ALDM-STK"),
        book(
            "3",
            "Melville : his world and work, with much about education, whales and the sea",
        )
        .control("008", "250818s2005    nyu           000 0 eng d")
        .data("035", &[('a', "(OCoLC)ocm00012345")])
        .copy("31", "ALDS-STK"),
        of_type(b"00000nas a2200000 i 4500", "4", "The crisis :")
            .control("008", "250818c19109999nyumr p       0   a0eng d")
            .data("022", &[('a', "0011-1422")]),
        book("5", "孫子兵法").data("880", &[('6', "245-01"), ('a', "Sunzi bing fa")]),
    ]);
    let (import, problems) = desk.load(header("a"), &records).await.unwrap();
    assert_eq!((import.created_count, problems.len()), (5, 0));
    desk
}

fn numbers(records: &[Record]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record.control_number.trim_start_matches("(AVCCD)"))
        .collect()
}

#[tokio::test]
async fn words_are_found_however_they_are_written() {
    let desk = catalog().await;
    for (query, expected) in [
        ("emile", &["1"][..]),
        ("ÉMILE", &["1"]),
        ("l'education emile", &["1"]),
        ("éducation -rousseau", &["3"]),
        ("\"the whale\"", &["2"]),
        ("\"whale the\"", &[]),
        ("moby-dick", &["2"]),
        ("crisis or emile", &["1", "4"]),
        ("兵法", &["5"]),
        ("法兵", &[]),
        ("sunzi", &["5"]),
        ("rousseau philosophy", &["1"]),
        ("it's a trap; drop table record; --", &[]),
    ] {
        let found = desk.find(query).await;
        let mut found = numbers(&found);
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn the_better_match_comes_first() {
    let desk = catalog().await;
    // In the author's heading once, and in a title.
    assert_eq!(numbers(&desk.find("melville").await), ["3", "2"]);
    // In a title, and in a subject besides the title of another.
    assert_eq!(numbers(&desk.find("education").await)[0], "1");
}

#[tokio::test]
async fn identifiers_are_found_however_they_are_written() {
    let desk = catalog().await;
    for (identifier, expected) in [
        ("9780393040029", &["1"][..]),
        ("isbn:0-393-04002-X", &["1"]),
        ("039304002x", &["1"]),
        ("85-2", &["2"]),
        ("lccn:85000002", &["2"]),
        ("(OCoLC)12345", &["3"]),
        ("oclc:ocm12345", &["3"]),
        ("00111422", &["4"]),
        ("issn:0011-1422", &["4"]),
        ("(AVCCD)4", &["4"]),
        ("control:4", &["4"]),
        ("4", &["4"]),
        ("control:(DLC)4", &[]),
        ("oclc:999", &[]),
    ] {
        let request = SearchRecordsRequest {
            identifier: identifier.into(),
            ..Default::default()
        };
        assert_eq!(
            numbers(&desk.search(request).await),
            expected,
            "{identifier}"
        );
    }
    let malformed = SearchRecordsRequest {
        identifier: "isbn:no".into(),
        ..Default::default()
    };
    assert_eq!(
        refusal(desk.records().search_records(malformed).await),
        (Code::InvalidArgument, "IDENTIFIER_MALFORMED".into())
    );
}

#[tokio::test]
async fn filters_narrow_what_is_found() {
    let desk = catalog().await;
    let base = SearchRecordsRequest::default;
    for (request, expected) in [
        (
            SearchRecordsRequest {
                language: "fre".into(),
                ..base()
            },
            &["1"][..],
        ),
        (
            SearchRecordsRequest {
                format: RecordFormat::Serial.into(),
                ..base()
            },
            &["4"],
        ),
        (
            SearchRecordsRequest {
                year_from: 1800,
                year_to: 1900,
                ..base()
            },
            &["2"],
        ),
        (
            SearchRecordsRequest {
                year_from: 1900,
                ..base()
            },
            &["3", "4"],
        ),
        (
            SearchRecordsRequest {
                library_code: "ALDM".into(),
                ..base()
            },
            &["2"],
        ),
        (
            SearchRecordsRequest {
                library_code: "NONE".into(),
                ..base()
            },
            &[],
        ),
        (
            SearchRecordsRequest {
                available_only: true,
                ..base()
            },
            &["2", "3"],
        ),
        (
            SearchRecordsRequest {
                query: "melville".into(),
                library_code: "ALDS".into(),
                ..base()
            },
            &["3"],
        ),
        (
            SearchRecordsRequest {
                query: "melville".into(),
                language: "fre".into(),
                ..base()
            },
            &[],
        ),
    ] {
        let found = desk.search(request.clone()).await;
        let mut found = numbers(&found);
        found.sort_unstable();
        assert_eq!(found, expected, "{request:?}");
    }
}

#[tokio::test]
async fn nothing_to_look_for_is_refused() {
    let desk = catalog().await;
    let empty = (Code::InvalidArgument, "SEARCH_EMPTY".to_owned());
    for request in [
        SearchRecordsRequest::default(),
        SearchRecordsRequest {
            query: " ?! ".into(),
            ..Default::default()
        },
        SearchRecordsRequest {
            query: "\"\" -".into(),
            language: "eng".into(),
            ..Default::default()
        },
    ] {
        assert_eq!(refusal(desk.records().search_records(request).await), empty);
    }
    for (request, reason) in [
        (
            SearchRecordsRequest {
                query: "x".repeat(501),
                ..Default::default()
            },
            "TEXT_LENGTH",
        ),
        (
            SearchRecordsRequest {
                year_from: -1,
                ..Default::default()
            },
            "YEAR_OUT_OF_RANGE",
        ),
        (
            SearchRecordsRequest {
                format: 77,
                ..Default::default()
            },
            "RECORD_FORMAT_UNKNOWN",
        ),
        (
            SearchRecordsRequest {
                language: "eng".into(),
                page_size: 101,
                ..Default::default()
            },
            "PAGE_SIZE_OUT_OF_RANGE",
        ),
    ] {
        assert_eq!(
            refusal(desk.records().search_records(request).await),
            (Code::InvalidArgument, reason.into())
        );
    }
    let missing = GetRecordRequest {
        id: new_id(),
        with_raw: false,
    };
    assert_eq!(
        refusal(desk.records().get_record(missing).await),
        (Code::NotFound, "RECORD_NOT_FOUND".into())
    );
}

#[tokio::test]
async fn pages_neither_repeat_nor_leave_out() {
    let desk = Desk::open().await;
    let drafts: Vec<_> = (0..57)
        .map(|n| {
            book(
                &n.to_string(),
                if n % 2 == 0 {
                    "Whales"
                } else {
                    "Whales and more of it"
                },
            )
        })
        .collect();
    desk.load(header("a"), &file(&drafts)).await.unwrap();
    for query in ["whales", ""] {
        let format = if query.is_empty() {
            RecordFormat::Book
        } else {
            RecordFormat::Unspecified
        };
        let mut request = SearchRecordsRequest {
            query: query.into(),
            format: format.into(),
            page_size: 10,
            ..Default::default()
        };
        let mut ids = std::collections::HashSet::new();
        let mut pages = 0;
        loop {
            let page = desk
                .records()
                .search_records(request.clone())
                .await
                .unwrap()
                .into_inner();
            pages += 1;
            assert!(
                page.records
                    .iter()
                    .all(|record| ids.insert(record.id.clone())),
                "{query}"
            );
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!((ids.len(), pages), (57, 6));
        let other = SearchRecordsRequest {
            query: "other".into(),
            ..request
        };
        assert_eq!(
            refusal(desk.records().search_records(other).await).1,
            "PAGE_TOKEN_FROM_ANOTHER_QUERY"
        );
    }
}
