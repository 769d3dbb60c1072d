//! The first command a newcomer types.

use serde_json::Value;

use crate::program::{carrel, open_folder};

#[test]
fn the_demo_balances_to_the_cent_and_shows_the_day() {
    let folder = open_folder();
    let page = folder.path().join("demo.html");
    let output = carrel()
        .args(["demo", "--json", "--page", page.to_str().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let outcome: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(outcome["balanced"], true);
    assert_eq!(outcome["ledger"], outcome["sis"]);
    assert_eq!(outcome["postings"], outcome["sis"]);
    assert_eq!(outcome["differences"], 0);
    assert_eq!(outcome["scenes"].as_array().unwrap().len(), 8);

    let html = std::fs::read_to_string(&page).unwrap();
    for part in [
        "The great Gatsby",
        "rule line",
        "FUND_INSUFFICIENT",
        "The books balance",
    ] {
        assert!(html.contains(part), "the page lacks {part}");
    }
}
