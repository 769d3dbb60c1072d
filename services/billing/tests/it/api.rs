//! The service over a socket, while circulation, patrons and the SIS are not there.

use std::time::Duration;

use carrel_billing::Settings;
use carrel_ids::new_id;
use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::account_service_client::AccountServiceClient;
use carrel_proto::billing::v1::billing_rules_service_client::BillingRulesServiceClient;
use carrel_proto::billing::v1::dispute_service_client::DisputeServiceClient;
use carrel_proto::billing::v1::fee_fine_service_client::FeeFineServiceClient;
use carrel_proto::billing::v1::journal_service_client::JournalServiceClient;
use carrel_proto::billing::v1::payment_service_client::PaymentServiceClient;
use carrel_proto::billing::v1::posting_batch_service_client::PostingBatchServiceClient;
use carrel_proto::billing::v1::posting_criterion::Criterion as WireCriterion;
use carrel_proto::billing::v1::posting_policy_service_client::PostingPolicyServiceClient;
use carrel_proto::billing::v1::posting_route_service_client::PostingRouteServiceClient;
use carrel_proto::billing::v1::posting_service_client::PostingServiceClient;
use carrel_proto::billing::v1::write_off_service_client::WriteOffServiceClient;
use carrel_proto::events::v1::SubscribeRequest;
use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use carrel_proto::r#type::v1 as wire_type;
use carrel_runtime::{BarcodeKey, Grant, Peer, Running, TokenIssuer, bind, read, start};
use carrel_testkit::TestDatabase;
use jiff::{SignedDuration, Timestamp};
use prost::{Message, Name};
use tempfile::TempDir;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::office::{test_database, usd};
use crate::site::TERM;

struct Service {
    running: Running,
    issuer: TokenIssuer,
    _folder: TempDir,
    _database: TestDatabase,
}

type Authorised = InterceptedService<Channel, Bearer>;

#[derive(Clone)]
struct Bearer(String);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = format!("Bearer {}", self.0).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

impl Service {
    async fn start() -> Self {
        let database = test_database().await;
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let issuer = TokenIssuer::create(&file("key.pem")).unwrap();
        BarcodeKey::create(&file("barcode.key")).unwrap();
        std::fs::write(
            file("trusted.json"),
            serde_json::to_vec(&issuer.jwks()).unwrap(),
        )
        .unwrap();
        std::fs::write(file("sis.key"), "a-key").unwrap();
        let nobody = |service: &str| Peer {
            service: service.into(),
            url: "http://127.0.0.1:9".into(),
        };
        let settings = Settings {
            runtime: carrel_runtime::Settings {
                listen: "127.0.0.1:0".parse().unwrap(),
                database_url: database.url.clone(),
                database_connections: 10,
                trusted_keys: file("trusted.json"),
                service_key: file("key.pem"),
                barcode_key: file("barcode.key"),
                peers: vec![nobody("circulation"), nobody("patrons")],
                movable_clock: false,
                clock_offset: 0,
                end_with_input: false,
            },
            sis_url: Some("http://127.0.0.1:9".into()),
            sis_api_key_file: Some(file("sis.key")),
            sis_allow_plain_http: false,
            sis_ca_file: None,
            sis_filters: carrel_billing::settings::SisFilters::All,
            sis_no_negative_amounts: false,
            sis_requests_per_second: None,
            sis_deadline: 1,
            sis_max_in_flight: 1,
            sis_batch_layout: None,
            sis_batch_folder: None,
            sis_batch_at: "never".into(),
            sis_batch_answer_within: 72,
            sis_batch_quiet: 0,
            posting_after_days: 0,
            posting_interval: 50,
            settlement_interval: 600,
            time_zone: "America/Los_Angeles".into(),
            currency: "USD".into(),
        };
        let listener = bind(settings.runtime.listen).await.unwrap();
        let runtime = settings.runtime.clone();
        let mut running = start(&runtime, listener, carrel_billing::definition(settings))
            .await
            .unwrap();
        running.ready(Duration::from_secs(20)).await.unwrap();
        Self {
            running,
            issuer,
            _folder: folder,
            _database: database,
        }
    }

    fn channel(&self, subject: &str, permission: &str) -> Authorised {
        let grants = [Grant::everywhere(permission)];
        let lifetime = SignedDuration::from_mins(5);
        let token = self
            .issuer
            .issue(subject, &grants, Timestamp::now(), lifetime);
        let url = format!("http://{}", self.running.address());
        let channel = Endpoint::from_shared(url).unwrap().connect_lazy();
        InterceptedService::new(channel, Bearer(token))
    }

    fn desk(&self) -> Authorised {
        self.channel("desk-1", "*")
    }
}

/// The code and reason of a refusal.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    let reason = read::reason(&status).unwrap_or_default();
    (status.code(), reason)
}

fn request_id() -> String {
    new_id().to_string()
}

fn date(year: i32, month: i32, day: i32) -> Option<wire_type::Date> {
    Some(wire_type::Date { year, month, day })
}

/// Sets up an owner and a manual type; gives a charge to make with them.
async fn set_up(service: &Service) -> pb::CreateAccountRequest {
    let mut fees = FeeFineServiceClient::new(service.desk());
    let owner = pb::CreateFeeFineOwnerRequest {
        fee_fine_owner: Some(pb::FeeFineOwner {
            code: "MAIN".into(),
            name: "Main desk".into(),
            library_codes: vec!["ALD-MAIN".into()],
            ..Default::default()
        }),
        request_id: request_id(),
    };
    let first = fees
        .create_fee_fine_owner(owner.clone())
        .await
        .unwrap()
        .into_inner();
    let again = fees
        .create_fee_fine_owner(owner.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, again);
    let taken = pb::CreateFeeFineOwnerRequest {
        request_id: request_id(),
        ..owner.clone()
    };
    let expected = (Code::AlreadyExists, "FEE_FINE_OWNER_CODE_TAKEN".to_owned());
    assert_eq!(
        refusal(fees.create_fee_fine_owner(taken.clone()).await),
        expected
    );
    let mut same_library = taken;
    same_library.request_id = request_id();
    same_library.fee_fine_owner.as_mut().unwrap().code = "OTHER".into();
    let expected = (
        Code::AlreadyExists,
        "FEE_FINE_OWNER_LIBRARY_TAKEN".to_owned(),
    );
    assert_eq!(
        refusal(fees.create_fee_fine_owner(same_library).await),
        expected
    );

    let fee_fine_type =
        |code: &str, kind: pb::FeeFineKind, text: &str| pb::CreateFeeFineTypeRequest {
            fee_fine_type: Some(pb::FeeFineType {
                code: code.into(),
                kind: kind.into(),
                statement_text: text.into(),
                ..Default::default()
            }),
            request_id: request_id(),
        };
    let manual = fee_fine_type("CARD", pb::FeeFineKind::Manual, "Library card replacement");
    let manual = fees
        .create_fee_fine_type(manual)
        .await
        .unwrap()
        .into_inner();
    let fine = |code| fee_fine_type(code, pb::FeeFineKind::OverdueFine, "Library overdue fine");
    let fine_type = fees
        .create_fee_fine_type(fine("FINE"))
        .await
        .unwrap()
        .into_inner();
    for (wrong, reason) in [
        (fine("FINE-2"), "FEE_FINE_TYPE_KIND_TAKEN"),
        (
            fee_fine_type("CARD", pb::FeeFineKind::Manual, "Card"),
            "FEE_FINE_TYPE_CODE_TAKEN",
        ),
        (
            fee_fine_type("TITLE", pb::FeeFineKind::Manual, "Moby Dick; or, The Whale"),
            "STATEMENT_TEXT_NOT_NEUTRAL",
        ),
    ] {
        assert_eq!(refusal(fees.create_fee_fine_type(wrong).await).1, reason);
    }
    let owner_id = first.fee_fine_owner.unwrap().id;
    let charge = pb::CreateAccountRequest {
        patron_id: new_id().to_string(),
        fee_fine_owner_id: owner_id,
        fee_fine_type_id: manual.fee_fine_type.unwrap().id,
        amount: Some(usd(1000).into()),
        comment: String::new(),
        request_id: request_id(),
    };
    let automatic = pb::CreateAccountRequest {
        fee_fine_type_id: fine_type.fee_fine_type.unwrap().id,
        request_id: request_id(),
        ..charge.clone()
    };
    let refused = AccountServiceClient::new(service.desk())
        .create_account(automatic)
        .await;
    assert_eq!(
        refusal(refused),
        (Code::FailedPrecondition, "FEE_FINE_TYPE_AUTOMATIC".into())
    );
    charge
}

#[tokio::test]
async fn the_desk_charges_and_takes_payments_with_everything_else_down() {
    let service = Service::start().await;
    let charge = set_up(&service).await;
    let mut accounts = AccountServiceClient::new(service.desk());
    let made = accounts
        .create_account(charge.clone())
        .await
        .unwrap()
        .into_inner();
    let again = accounts
        .create_account(charge.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(made, again);
    let account = made.account.unwrap();

    let pay = |cents: i64, tender: pb::Tender, reference: &str| pb::PayAccountRequest {
        id: account.id.clone(),
        amount: Some(usd(cents).into()),
        tender: tender.into(),
        tender_reference: reference.into(),
        comment: String::new(),
        request_id: request_id(),
    };
    use pb::Tender::{Card, Cash, Unspecified};
    for (payment, code, reason) in [
        (
            pay(1001, Cash, ""),
            Code::FailedPrecondition,
            "PAYMENT_EXCEEDS_REMAINING",
        ),
        (
            pay(0, Cash, ""),
            Code::InvalidArgument,
            "AMOUNT_NOT_POSITIVE",
        ),
        (
            pay(-5, Cash, ""),
            Code::InvalidArgument,
            "AMOUNT_NOT_POSITIVE",
        ),
        (
            pay(5, Unspecified, ""),
            Code::InvalidArgument,
            "TENDER_MISSING",
        ),
        (
            pay(5, Card, "4111 1111 1111 1111"),
            Code::InvalidArgument,
            "CARD_NUMBER_REFUSED",
        ),
        (
            pb::PayAccountRequest {
                id: new_id().to_string(),
                ..pay(5, Cash, "")
            },
            Code::NotFound,
            "ACCOUNT_NOT_FOUND",
        ),
        (
            pb::PayAccountRequest {
                request_id: String::new(),
                ..pay(5, Cash, "")
            },
            Code::InvalidArgument,
            "REQUEST_ID_MISSING",
        ),
        (
            pb::PayAccountRequest {
                id: "7".into(),
                ..pay(5, Cash, "")
            },
            Code::InvalidArgument,
            "ID_MALFORMED",
        ),
        (
            pb::PayAccountRequest {
                request_id: charge.request_id.clone(),
                amount: None,
                ..pay(5, Cash, "")
            },
            Code::InvalidArgument,
            "FIELD_MISSING",
        ),
    ] {
        assert_eq!(
            refusal(accounts.pay_account(payment).await),
            (code, reason.to_owned())
        );
    }
    let first = pay(400, Card, "pi_3OX");
    accounts.pay_account(first.clone()).await.unwrap();
    let reused = pb::PayAccountRequest {
        amount: Some(usd(401).into()),
        ..first
    };
    let expected = (Code::FailedPrecondition, "REQUEST_ID_REUSED".to_owned());
    assert_eq!(refusal(accounts.pay_account(reused).await), expected);
    let waive = pb::WaiveAccountRequest {
        id: account.id.clone(),
        amount: Some(usd(601).into()),
        comment: "a shelving mistake".into(),
        request_id: request_id(),
    };
    let expected = (
        Code::FailedPrecondition,
        "WAIVER_EXCEEDS_REMAINING".to_owned(),
    );
    assert_eq!(
        refusal(accounts.waive_account(waive.clone()).await),
        expected
    );
    let waive = pb::WaiveAccountRequest {
        amount: Some(usd(600).into()),
        request_id: request_id(),
        ..waive
    };
    let waived = accounts
        .waive_account(waive)
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap();
    assert_eq!(waived.payment_status(), pb::PaymentStatus::WaivedFully);
    assert_eq!(
        refusal(accounts.pay_account(pay(1, Cash, "")).await).1,
        "ACCOUNT_CLOSED"
    );

    let get = pb::GetAccountRequest {
        id: account.id.clone(),
    };
    let read = accounts
        .get_account(get)
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap();
    assert_eq!(read.actions.len(), 3);
    assert_eq!(read.actions[1].actor, "desk-1");
    let mut own =
        AccountServiceClient::new(service.channel(&format!("patron:{}", charge.patron_id), "*"));
    let own_charge = pb::CreateAccountRequest {
        request_id: request_id(),
        ..charge
    };
    let expected = (Code::PermissionDenied, "OWN_ACCOUNT".to_owned());
    assert_eq!(refusal(own.create_account(own_charge).await), expected);
    let balance = pb::GetBalanceRequest {
        patron_id: account.patron_id,
    };
    let balance = accounts
        .get_balance(balance)
        .await
        .unwrap()
        .into_inner()
        .balance
        .unwrap();
    assert_eq!(
        (balance.outstanding, balance.revision),
        (Some(usd(0).into()), 3)
    );
    let trial = JournalServiceClient::new(service.desk())
        .get_trial_balance(pb::GetTrialBalanceRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(trial.lines.len(), 13);
    assert_eq!(trial.sum, Some(usd(0).into()));
    service.running.stop().await;
}

#[tokio::test]
async fn the_desk_refunds_disputes_and_closes_over_the_wire() {
    let service = Service::start().await;
    let charge = set_up(&service).await;
    let mut accounts = AccountServiceClient::new(service.desk());
    let made = accounts.create_account(charge.clone()).await.unwrap();
    let account = made.into_inner().account.unwrap();
    let mut payments = PaymentServiceClient::new(service.desk());
    let pay = pb::PayAccountsRequest {
        patron_id: charge.patron_id.clone(),
        amount: Some(usd(400).into()),
        tender: pb::Tender::Cash.into(),
        tendered: Some(usd(500).into()),
        request_id: request_id(),
        ..Default::default()
    };
    let in_a_drawer = pb::PayAccountsRequest {
        drawer_session_id: new_id().to_string(),
        request_id: request_id(),
        ..pay.clone()
    };
    assert_eq!(
        refusal(payments.pay_accounts(in_a_drawer).await),
        (Code::FailedPrecondition, "DRAWER_SESSION_NOT_OPEN".into())
    );
    let crowded = pb::PayAccountsRequest {
        parts: vec![pb::PaymentPart::default(); 101],
        request_id: request_id(),
        ..pay.clone()
    };
    let refused = payments.pay_accounts(crowded).await;
    assert_eq!(refusal(refused).1, "LIST_TOO_LONG");
    let paid = payments.pay_accounts(pay).await.unwrap().into_inner();
    let payment = paid.payment.unwrap();
    assert_eq!(payment.change, Some(usd(100).into()));
    assert!(paid.receipt_text.contains(&payment.receipt_number));
    let get = pb::GetPaymentRequest {
        id: payment.id.clone(),
        with_pdf: true,
    };
    let read = payments.get_payment(get).await.unwrap().into_inner();
    assert!(read.receipt_pdf.starts_with(b"%PDF-1.4"));
    assert_eq!(read.payment.as_ref(), Some(&payment));
    let refund = pb::RefundPaymentRequest {
        id: payment.id.clone(),
        account_id: account.id.clone(),
        amount: Some(usd(100).into()),
        comment: "paid too much".into(),
        request_id: request_id(),
        ..Default::default()
    };
    let refunded = payments.refund_payment(refund.clone()).await.unwrap();
    assert_eq!(
        payments.refund_payment(refund).await.unwrap().into_inner(),
        refunded.into_inner()
    );
    let return_cheque = pb::ReturnChequeRequest {
        id: payment.id.clone(),
        comment: "not a cheque".into(),
        request_id: request_id(),
        ..Default::default()
    };
    let refused = payments.return_cheque(return_cheque).await;
    assert_eq!(refusal(refused).1, "NOT_A_CHEQUE");
    let list = pb::ListPaymentsRequest {
        patron_id: charge.patron_id.clone(),
        ..Default::default()
    };
    let listed = payments.list_payments(list).await.unwrap().into_inner();
    assert_eq!(listed.payments.len(), 1);

    let mut disputes = DisputeServiceClient::new(service.desk());
    let open = pb::OpenDisputeRequest {
        account_id: account.id.clone(),
        reason: "never had it".into(),
        request_id: request_id(),
    };
    let opened = disputes.open_dispute(open).await.unwrap().into_inner();
    assert!(opened.account.unwrap().is_disputed);
    let decide = pb::DecideDisputeRequest {
        id: opened.dispute.unwrap().id,
        outcome: pb::DisputeOutcome::Upheld.into(),
        comment: "right".into(),
        request_id: request_id(),
        ..Default::default()
    };
    let refused = disputes.decide_dispute(decide.clone()).await;
    assert_eq!(refusal(refused).1, "DECIDED_BY_THE_SAME_PERSON");
    let mut head = DisputeServiceClient::new(service.channel("head", "*"));
    let decided = head.decide_dispute(decide).await.unwrap().into_inner();
    let cancelled = decided.account.unwrap();
    assert_eq!(
        (cancelled.payment_status(), cancelled.owed_back),
        (pb::PaymentStatus::CancelledAsError, Some(usd(300).into()))
    );
    let only_open = pb::ListDisputesRequest {
        only_open: true,
        ..Default::default()
    };
    let listed = disputes.list_disputes(only_open).await.unwrap();
    assert_eq!(listed.into_inner().disputes, []);

    let mut write_offs = WriteOffServiceClient::new(service.desk());
    let write_off = pb::RequestWriteOffRequest {
        account_id: account.id.clone(),
        amount: Some(usd(1).into()),
        reason: "moved away".into(),
        request_id: request_id(),
    };
    let refused = write_offs.request_write_off(write_off).await;
    assert_eq!(refusal(refused).1, "ACCOUNT_CLOSED");

    let mut journal = JournalServiceClient::new(service.desk());
    let statement = pb::GetPatronStatementRequest {
        patron_id: charge.patron_id.clone(),
        page_size: 2,
        ..Default::default()
    };
    let first = journal.get_patron_statement(statement.clone()).await;
    let first = first.unwrap().into_inner();
    let rest = pb::GetPatronStatementRequest {
        page_token: first.next_page_token,
        ..statement
    };
    let rest = journal.get_patron_statement(rest).await.unwrap();
    let lines = [first.lines, rest.into_inner().lines].concat();
    let kinds: Vec<_> = lines.iter().map(|line| line.kind()).collect();
    use pb::AccountActionKind::{Cancel, Charge, Pay};
    assert_eq!(kinds, [Charge, Pay, Cancel]);
    assert_eq!(first.closing, Some(usd(0).into()));
    let proof = journal.verify_journal(pb::VerifyJournalRequest {}).await;
    assert_eq!(proof.unwrap().into_inner().disagreements, []);
    let close = pb::CloseMonthRequest {
        month: date(2999, 1, 1),
        request_id: request_id(),
    };
    let refused = journal.close_month(close).await;
    assert_eq!(refusal(refused).1, "MONTH_NOT_OVER");
    let mut rules = BillingRulesServiceClient::new(service.desk());
    let read = rules.get_billing_rules(pb::GetBillingRulesRequest {}).await;
    let mut wanted = read.unwrap().into_inner().billing_rules.unwrap();
    wanted.etag = "0".into();
    let update = pb::UpdateBillingRulesRequest {
        billing_rules: Some(wanted),
        request_id: request_id(),
    };
    let refused = rules.update_billing_rules(update).await;
    assert_eq!(
        refusal(refused),
        (Code::Aborted, "ETAG_MISMATCH".to_owned())
    );
    service.running.stop().await;
}

#[tokio::test]
async fn lists_are_paged_and_their_tokens_belong_to_their_query() {
    let service = Service::start().await;
    let charge = set_up(&service).await;
    let mut accounts = AccountServiceClient::new(service.desk());
    for _ in 0..5 {
        let charge = pb::CreateAccountRequest {
            request_id: request_id(),
            ..charge.clone()
        };
        accounts.create_account(charge).await.unwrap();
    }
    let mut query = pb::ListAccountsRequest {
        patron_id: charge.patron_id.clone(),
        page_size: 2,
        ..Default::default()
    };
    let mut sizes = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    loop {
        let page = accounts
            .list_accounts(query.clone())
            .await
            .unwrap()
            .into_inner();
        sizes.push(page.accounts.len());
        ids.extend(page.accounts.into_iter().map(|account| account.id));
        if page.next_page_token.is_empty() {
            break;
        }
        query.page_token = page.next_page_token;
    }
    assert_eq!((sizes, ids.len()), (vec![2, 2, 1], 5));
    query.patron_id = String::new();
    assert_eq!(
        refusal(accounts.list_accounts(query).await).1,
        "PAGE_TOKEN_FROM_ANOTHER_QUERY"
    );

    let mut journal = JournalServiceClient::new(service.desk());
    let mut query = pb::ListJournalTransactionsRequest {
        page_size: 3,
        ..Default::default()
    };
    let first = journal
        .list_journal_transactions(query.clone())
        .await
        .unwrap()
        .into_inner();
    query.page_token = first.next_page_token;
    let second = journal
        .list_journal_transactions(query)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            first.journal_transactions.len(),
            second.journal_transactions.len()
        ),
        (3, 2)
    );
    assert!(
        first
            .journal_transactions
            .iter()
            .all(|transaction| transaction.entries.len() == 2)
    );

    let balances = accounts
        .list_balances(pb::ListBalancesRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(balances.balances[0].outstanding, Some(usd(5000).into()));
    let mut reader = AccountServiceClient::new(service.channel("x", "billing.accounts.read"));
    assert_eq!(
        refusal(
            reader
                .list_balances(pb::ListBalancesRequest::default())
                .await
        )
        .0,
        Code::PermissionDenied
    );
    service.running.stop().await;
}

#[tokio::test]
async fn routes_periods_and_postings_answer_their_refusals() {
    let service = Service::start().await;
    let mut routes = PostingRouteServiceClient::new(service.desk());
    let route = || pb::CreatePostingRouteRequest {
        posting_route: Some(pb::PostingRoute {
            institution_code: "ALD".into(),
            kind: pb::FeeFineKind::OverdueFine.into(),
            funding_destination_id: "d".into(),
            ..Default::default()
        }),
        request_id: request_id(),
    };
    let first = route();
    let made = routes
        .create_posting_route(first.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        routes
            .create_posting_route(first)
            .await
            .unwrap()
            .into_inner(),
        made
    );
    assert_eq!(
        refusal(routes.create_posting_route(route()).await).1,
        "POSTING_ROUTE_TAKEN"
    );
    let period = |id: &str, first_date, last_date| pb::CreateAcademicPeriodRequest {
        academic_period: Some(pb::AcademicPeriod {
            id: id.into(),
            code: id.into(),
            first_date,
            last_date,
        }),
        request_id: request_id(),
    };
    let fall = (date(2026, 8, 24), date(2026, 12, 18));
    routes
        .create_academic_period(period(TERM, fall.0, fall.1))
        .await
        .unwrap();
    for (wrong, reason) in [
        (
            period("b", date(2026, 12, 18), date(2027, 1, 9)),
            "ACADEMIC_PERIOD_OVERLAPS",
        ),
        (
            period(TERM, date(2027, 1, 1), date(2027, 1, 9)),
            "ACADEMIC_PERIOD_TAKEN",
        ),
        (
            period("c", date(2027, 1, 9), date(2027, 1, 1)),
            "ACADEMIC_PERIOD_EMPTY",
        ),
        (
            period("c", date(2027, 2, 30), date(2027, 3, 1)),
            "DATE_MALFORMED",
        ),
    ] {
        assert_eq!(
            refusal(routes.create_academic_period(wrong).await).1,
            reason
        );
    }
    let listed = routes
        .list_academic_periods(pb::ListAcademicPeriodsRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.into_inner().academic_periods.len(), 1);

    let mut postings = PostingServiceClient::new(service.desk());
    let unknown = new_id().to_string();
    let get = pb::GetPostingRequest {
        id: unknown.clone(),
    };
    assert_eq!(
        refusal(postings.get_posting(get).await),
        (Code::NotFound, "POSTING_NOT_FOUND".into())
    );
    let retry = pb::RetryPostingRequest {
        id: unknown,
        request_id: request_id(),
    };
    assert_eq!(
        refusal(postings.retry_posting(retry).await).1,
        "POSTING_NOT_FOUND"
    );
    let run = pb::RunPostingsRequest {
        request_id: request_id(),
    };
    let ran = postings.run_postings(run).await.unwrap().into_inner();
    assert_eq!(ran, pb::RunPostingsResponse::default());
    let reconciled = postings
        .reconcile(pb::ReconcileRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reconciled.differences, []);
    service.running.stop().await;
}

#[tokio::test]
async fn the_queue_the_batches_and_the_policy_answer_their_refusals() {
    let service = Service::start().await;
    let mut postings = PostingServiceClient::new(service.desk());
    let unknown = new_id().to_string();
    let resolve = |finding: pb::PostingFinding, evidence: &str| pb::ResolveUnknownPostingRequest {
        id: unknown.clone(),
        finding: finding.into(),
        evidence: evidence.into(),
        request_id: request_id(),
        ..Default::default()
    };
    for (wrong, reason) in [
        (
            resolve(pb::PostingFinding::NotFound, "statement"),
            "POSTING_NOT_FOUND",
        ),
        (
            resolve(pb::PostingFinding::Unspecified, "statement"),
            "VALUE_UNKNOWN",
        ),
        (resolve(pb::PostingFinding::Found, ""), "TEXT_LENGTH"),
    ] {
        assert_eq!(
            refusal(postings.resolve_unknown_posting(wrong).await).1,
            reason
        );
    }
    let give_back = pb::ReturnPostingToLibraryRequest {
        id: unknown.clone(),
        comment: "a hardship".into(),
        request_id: request_id(),
    };
    let refused = postings.return_posting_to_library(give_back).await;
    assert_eq!(refusal(refused).1, "POSTING_NOT_FOUND");
    let lift = pb::LiftPostingHoldRequest {
        account_id: unknown.clone(),
        request_id: request_id(),
    };
    let refused = postings.lift_posting_hold(lift).await;
    assert_eq!(
        refusal(refused),
        (Code::NotFound, "POSTING_HOLD_NOT_FOUND".into())
    );
    let work = postings
        .list_posting_work(pb::ListPostingWorkRequest::default())
        .await
        .unwrap();
    assert_eq!(work.into_inner(), pb::ListPostingWorkResponse::default());

    let mut batches = PostingBatchServiceClient::new(service.desk());
    let get = pb::GetPostingBatchRequest {
        id: unknown.clone(),
    };
    let refused = batches.get_posting_batch(get).await;
    assert_eq!(
        refusal(refused),
        (Code::NotFound, "POSTING_BATCH_NOT_FOUND".into())
    );
    let listed = batches
        .list_posting_batches(pb::ListPostingBatchesRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.into_inner().posting_batches, []);

    let mut policies = PostingPolicyServiceClient::new(service.desk());
    let read = policies
        .get_posting_policy(pb::GetPostingPolicyRequest {})
        .await
        .unwrap();
    let read = read.into_inner().posting_policy.unwrap();
    let criterion = |criterion| {
        Some(pb::PostingCriterion {
            criterion: Some(criterion),
        })
    };
    let change = |etag: &str, criterion, notice_wait_days| pb::UpdatePostingPolicyRequest {
        posting_policy: Some(pb::PostingPolicy {
            criterion,
            notice_wait_days,
            etag: etag.into(),
            ..Default::default()
        }),
        request_id: request_id(),
    };
    let five_dollars = criterion(WireCriterion::All(pb::PostingCriteria {
        criteria: vec![
            pb::PostingCriterion {
                criterion: Some(WireCriterion::MinimumAmount(usd(500).into())),
            },
            pb::PostingCriterion {
                criterion: Some(WireCriterion::LibraryCode("ALD-MAIN".into())),
            },
        ],
    }));
    for (wrong, reason) in [
        (
            change(&read.etag, Some(pb::PostingCriterion::default()), None),
            "POSTING_CRITERION_MALFORMED",
        ),
        (
            change(
                &read.etag,
                criterion(WireCriterion::MinimumAgeDays(-1)),
                None,
            ),
            "POSTING_CRITERION_MALFORMED",
        ),
        (change(&read.etag, None, Some(-1)), "NUMBER_OUT_OF_RANGE"),
        (change("7", None, None), "ETAG_MISMATCH"),
    ] {
        assert_eq!(
            refusal(policies.update_posting_policy(wrong).await).1,
            reason
        );
    }
    let right = change(&read.etag, five_dollars.clone(), Some(30));
    let first = policies
        .update_posting_policy(right.clone())
        .await
        .unwrap()
        .into_inner();
    let again = policies
        .update_posting_policy(right)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.posting_policy, again.posting_policy);
    let kept = policies
        .get_posting_policy(pb::GetPostingPolicyRequest {})
        .await
        .unwrap();
    let kept = kept.into_inner().posting_policy.unwrap();
    assert_eq!(
        (kept.criterion, kept.notice_wait_days),
        (five_dollars, Some(30))
    );
    let notice = |account_ids: Vec<String>| pb::RecordPostingNoticesRequest {
        account_ids,
        noticed_on: date(2026, 3, 2),
        request_id: request_id(),
    };
    for (wrong, reason) in [
        (notice(vec![]), "COUNT_OUT_OF_RANGE"),
        (notice(vec![unknown]), "ACCOUNT_NOT_FOUND"),
    ] {
        assert_eq!(
            refusal(policies.record_posting_notices(wrong).await).1,
            reason
        );
    }
    let charge = set_up(&service).await;
    let mut accounts = AccountServiceClient::new(service.desk());
    let account = accounts
        .create_account(charge)
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap();
    policies
        .record_posting_notices(notice(vec![account.id.clone()]))
        .await
        .unwrap();
    let preview = policies
        .preview_postings(pb::PreviewPostingsRequest::default())
        .await
        .unwrap();
    let preview = preview.into_inner().previews;
    assert_eq!(preview[0].account_id, account.id);
    assert_eq!(preview[0].held_because, "the patron has no student account");

    // Each has its own permission.
    let mut reader = PostingServiceClient::new(service.channel("auditor", "billing.postings.read"));
    reader
        .list_posting_work(pb::ListPostingWorkRequest::default())
        .await
        .unwrap();
    let lift = pb::LiftPostingHoldRequest {
        account_id: account.id,
        request_id: request_id(),
    };
    assert_eq!(
        refusal(reader.lift_posting_hold(lift).await).0,
        Code::PermissionDenied
    );
    service.running.stop().await;
}

#[tokio::test]
async fn the_feed_tells_of_accounts_and_balances() {
    let service = Service::start().await;
    let charge = set_up(&service).await;
    let mut accounts = AccountServiceClient::new(service.desk());
    let account = accounts
        .create_account(charge)
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap();
    let mut feed = EventFeedServiceClient::new(service.desk());
    let types = vec![
        pb::AccountChanged::full_name(),
        pb::BalanceChanged::full_name(),
    ];
    let subscribe = SubscribeRequest {
        cursor: None,
        types,
    };
    let mut stream = feed.subscribe(subscribe).await.unwrap().into_inner();
    let mut events = Vec::new();
    while events.len() < 2 {
        let batch = tokio::time::timeout(Duration::from_secs(10), stream.message()).await;
        events.extend(batch.expect("events come").unwrap().unwrap().events);
    }
    let changed = pb::AccountChanged::decode(events[0].payload.clone()).unwrap();
    assert_eq!(changed.account, Some(account.clone()));
    let balance = pb::BalanceChanged::decode(events[1].payload.clone())
        .unwrap()
        .balance
        .unwrap();
    assert_eq!(balance.patron_id, account.patron_id);
    assert_eq!(balance.outstanding, account.remaining);
    drop(stream);
    service.running.stop().await;
}
