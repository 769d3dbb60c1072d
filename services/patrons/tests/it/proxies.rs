//! Who may borrow for whom.

use carrel_proto::patrons::v1::get_patron_standing_request::Key;
use carrel_proto::patrons::v1::{
    CreateProxyRequest, GetPatronStandingRequest, ListPatronStandingsRequest, ListProxiesRequest,
    Proxy, ProxyChanged,
};
use tonic::Code;
use uuid::Uuid;

use crate::desk::{Caller, Desk, date, new_id, reason, student};

fn proxy(sponsor_patron_id: &str, proxy_patron_id: &str) -> Proxy {
    Proxy {
        sponsor_patron_id: sponsor_patron_id.into(),
        proxy_patron_id: proxy_patron_id.into(),
        ..Default::default()
    }
}

async fn ids_of(caller: &Caller, patron_id: &str, include_ended: bool) -> Vec<String> {
    let mut ids = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListProxiesRequest {
            patron_id: patron_id.into(),
            include_ended,
            page_size: 1,
            page_token,
        };
        let answer = caller.proxies.clone().list_proxies(request).await;
        let answer = answer.unwrap().into_inner();
        ids.extend(answer.proxies.into_iter().map(|proxy| proxy.id));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return ids;
        }
    }
}

#[tokio::test]
async fn a_teachers_assistant_may_borrow_until_it_is_ended() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let mut patrons = Vec::new();
    for (name, barcode) in [("Alderleaf", "21"), ("Fernbough", "22"), ("Mosswort", "23")] {
        patrons.push(desk.create(student(name, barcode)).await.unwrap().id);
    }
    let [teacher, assistant, friend] = &patrons[..] else {
        unreachable!()
    };
    let first = technician
        .let_borrow(proxy(teacher, assistant))
        .await
        .unwrap();
    let second = technician
        .let_borrow(proxy(assistant, friend))
        .await
        .unwrap();
    assert_eq!(first.created_by, "desk-1");
    assert!(first.ended_at.is_none());
    // Seen from either side.
    assert_eq!(ids_of(&technician, teacher, false).await, [&*first.id]);
    assert_eq!(
        ids_of(&technician, assistant, false).await,
        [&*second.id, &first.id]
    );

    let ended = technician.end_proxy(&first.id).await.unwrap();
    assert!(ended.ended_at.is_some());
    assert_eq!(technician.end_proxy(&first.id).await.unwrap(), ended);
    assert!(ids_of(&technician, teacher, false).await.is_empty());
    assert_eq!(ids_of(&technician, teacher, true).await, [&*first.id]);
    // Another time, another proxy.
    let third = technician
        .let_borrow(proxy(teacher, assistant))
        .await
        .unwrap();

    let told = desk.events_of::<ProxyChanged>().await;
    let told: Vec<_> = told
        .into_iter()
        .map(|event| event.proxy.unwrap())
        .map(|proxy| (proxy.proxy_id, proxy.ended, proxy.revision))
        .collect();
    assert_eq!(
        told,
        [
            (first.id.clone(), false, 1),
            (second.id, false, 1),
            (first.id.clone(), true, 2),
            (third.id.clone(), false, 1),
        ]
    );

    // Whoever rebuilds itself learns of the sponsor's, ended ones too.
    let request = GetPatronStandingRequest {
        key: Some(Key::PatronId(teacher.clone())),
    };
    let alone = technician
        .patrons
        .clone()
        .get_patron_standing(request)
        .await;
    let listed = technician
        .patrons
        .clone()
        .list_patron_standings(ListPatronStandingsRequest::default())
        .await;
    let of_teacher = [(first.id, true), (third.id, false)];
    let alone = alone.unwrap().into_inner().proxies.into_iter();
    let listed = listed.unwrap().into_inner().proxies.into_iter();
    let listed = listed.filter(|proxy| proxy.sponsor_patron_id == *teacher);
    assert_eq!(
        alone
            .map(|proxy| (proxy.proxy_id, proxy.ended))
            .collect::<Vec<_>>(),
        of_teacher
    );
    assert_eq!(
        listed
            .map(|proxy| (proxy.proxy_id, proxy.ended))
            .collect::<Vec<_>>(),
        of_teacher
    );
}

#[tokio::test]
async fn a_proxy_that_can_not_be_is_refused() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let sponsor = desk.create(student("Alderleaf", "21")).await.unwrap().id;
    let other = desk.create(student("Fernbough", "22")).await.unwrap().id;
    let over = Proxy {
        expiration_date: Some(date(2020, 1, 1)),
        ..proxy(&sponsor, &other)
    };
    for (refused, why) in [
        (proxy(&sponsor, &sponsor), "PROXY_OF_SELF"),
        (proxy(&sponsor, &new_id()), "PATRON_NOT_FOUND"),
        (proxy(&new_id(), &other), "PATRON_NOT_FOUND"),
        (proxy("7", &other), "ID_MALFORMED"),
        (over, "PROXY_EXPIRED"),
    ] {
        assert_eq!(reason(technician.let_borrow(refused).await), why);
    }
    assert_eq!(
        reason(technician.end_proxy(&new_id()).await),
        "PROXY_NOT_FOUND"
    );
    let request = ListProxiesRequest {
        patron_id: new_id(),
        ..Default::default()
    };
    let nobody = technician.proxies.clone().list_proxies(request).await;
    assert_eq!(reason(nobody), "PATRON_NOT_FOUND");

    technician
        .let_borrow(proxy(&sponsor, &other))
        .await
        .unwrap();
    let again = technician.let_borrow(proxy(&sponsor, &other)).await;
    assert_eq!(reason(again), "PROXY_ALREADY_EXISTS");
    for name in 1..50 {
        let barcode = format!("3{name}");
        let patron = desk.create(student("Mosswort", &barcode)).await.unwrap();
        technician
            .let_borrow(proxy(&sponsor, &patron.id))
            .await
            .unwrap();
    }
    let one_more = desk.create(student("Rushmere", "99")).await.unwrap();
    let one_more = technician.let_borrow(proxy(&sponsor, &one_more.id)).await;
    assert_eq!(reason(one_more), "TOO_MANY_PROXIES");

    for own in [&sponsor, &other] {
        let own = desk.caller(&format!("patron:{own}"), &["*"]);
        let refused = own.let_borrow(proxy(&sponsor, &other)).await;
        assert_eq!(refused.as_ref().unwrap_err().code(), Code::PermissionDenied);
        assert_eq!(reason(refused), "OWN_ACCOUNT");
    }
}

#[tokio::test]
async fn a_repeated_proxy_is_entered_once_and_both_are_in_the_log() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let sponsor = desk.create(student("Alderleaf", "21")).await.unwrap().id;
    let other = desk.create(student("Fernbough", "22")).await.unwrap().id;
    let request = CreateProxyRequest {
        proxy: Some(proxy(&sponsor, &other)),
        request_id: new_id(),
    };
    let again = (0..4).map(|_| {
        let (request, mut proxies) = (request.clone(), technician.proxies.clone());
        async move { proxies.create_proxy(request).await.unwrap().into_inner() }
    });
    let answers = futures::future::join_all(again).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(desk.count("select count(*) from proxy").await, 1);

    let both: Vec<Uuid> = sqlx::query_scalar(
        "select unnest(patron_ids) from access_log where rpc like '%CreateProxy' limit 2",
    )
    .fetch_all(&desk.database.pool)
    .await
    .unwrap();
    let told: Vec<String> = both.iter().map(ToString::to_string).collect();
    assert_eq!(told, [sponsor, other]);

    let stranger = desk.caller("stranger", &["patrons.blocks.*"]);
    assert_eq!(
        reason(stranger.let_borrow(proxy("7", "7")).await),
        "PERMISSION_DENIED"
    );
}
