//! The account as the cashier sees it, and the totals.

use carrel_student_accounts::PostOutcome;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{STUDENT, Site, lost_item_fee};

async fn posted(site: &Site) -> String {
    match site.accounts().post(&lost_item_fee()).await {
        PostOutcome::Accepted { sis_id } => sis_id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_statement_runs_its_balance_through_charges_and_payments() {
    let site = Site::open().await;
    let first = posted(&site).await;
    let second = posted(&site).await;
    let settle = |id: &str| format!("/admin/charges/{id}/settle");
    site.admin(Method::POST, &settle(&first), None).await;
    site.admin(
        Method::POST,
        &settle(&second),
        Some(json!({ "amount": "7.35" })),
    )
    .await;

    let statement = site
        .admin(Method::GET, &format!("/admin/statements/{STUDENT}"), None)
        .await;
    let column = |name: &str| -> Vec<Value> {
        statement["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line[name].clone())
            .collect()
    };
    assert_eq!(column("amount"), ["17.35", "17.35", "-17.35", "-7.35"]);
    assert_eq!(column("balance"), ["17.35", "34.70", "17.35", "10.00"]);
    assert_eq!(
        column("status"),
        ["paid", "part-paid", "payment", "payment"]
    );
    assert_eq!(column("outstanding"), ["0.00", "10.00", "0.00", "0.00"]);
    assert_eq!(column("code"), ["LIBR"; 4]);
    assert_eq!(statement["balances"], json!({ "USD": "10.00" }));
    assert_eq!(statement["student"]["number"], "0700001");
    assert_eq!(statement["asOf"], "2026-03-02");

    let totals = site.admin(Method::GET, "/admin/totals", None).await;
    assert_eq!(
        totals["charges"],
        json!({ "count": 2, "amounts": { "USD": "34.70" } })
    );
    assert_eq!(
        totals["payments"],
        json!({ "count": 2, "amounts": { "USD": "24.70" } })
    );
    assert_eq!(totals["chargesByCode"]["LIBR"]["count"], 2);
}

#[tokio::test]
async fn no_more_is_paid_on_a_charge_than_is_owed() {
    let site = Site::open().await;
    let id = posted(&site).await;
    let settle = |amount: &str| {
        let body = json!({ "amount": amount }).to_string();
        site.request(Method::POST, &format!("/admin/charges/{id}/settle"))
            .body(body)
            .send()
    };
    for refused in ["17.36", "0", "-1", "0.001"] {
        assert_eq!(settle(refused).await.unwrap().status(), 400, "{refused}");
    }
    // Two windows at once: one of them is told that nothing is left.
    let (one, other) = tokio::join!(settle("10.00"), settle("10.00"));
    let mut statuses = [
        one.unwrap().status().as_u16(),
        other.unwrap().status().as_u16(),
    ];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}

#[tokio::test]
async fn the_clock_stays_where_it_is_unless_it_may_be_moved() {
    let site = Site::open().await;
    assert_eq!(
        site.admin(Method::GET, "/admin/clock", None).await["today"],
        "2026-03-02"
    );
    site.move_clock("2026-04-20T08:00:00Z").await;
    assert_eq!(
        site.admin(Method::GET, "/admin/clock", None).await["today"],
        "2026-04-20"
    );

    let folder = tempfile::tempdir().unwrap();
    let fixed = carrel_sis_simulator::Config::on_loopback(folder.path().to_owned(), "key");
    let running = carrel_sis_simulator::start(fixed).await.unwrap();
    let clock = format!("{}/admin/clock", running.url());
    let body = json!({ "now": "2026-04-20T08:00:00Z" }).to_string();
    let answer = crate::site::http_client()
        .put(clock)
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn the_admin_endpoints_ask_for_their_key() {
    let site = Site::open().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = carrel_sis_simulator::Config::on_loopback(folder.path().to_owned(), "key");
    config.admin_key = Some("admin".to_owned());
    let locked = carrel_sis_simulator::start(config).await.unwrap();
    let get = |key: &str| {
        crate::site::http_client()
            .get(format!("{}/admin/totals", locked.url()))
            .bearer_auth(key)
            .send()
    };
    assert_eq!(get("another").await.unwrap().status(), 401);
    assert_eq!(get("admin").await.unwrap().status(), 200);

    // Beyond loopback it does not start without one.
    let mut open =
        carrel_sis_simulator::Config::on_loopback(site.folder.path().join("open"), "key");
    open.listen = "0.0.0.0:0".parse().unwrap();
    let refused = carrel_sis_simulator::start(open).await.err().unwrap();
    assert!(
        refused.to_string().contains("needs an admin key"),
        "{refused}"
    );
}
