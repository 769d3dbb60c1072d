//! A billing office to test in: its books, its events, and the desk's doings.

use std::sync::Arc;
use std::time::Duration;

use carrel_billing::account::model::{Account, FeeFineKind, Tender};
use carrel_billing::account::{self, ManualCharge, Note};
use carrel_billing::circulation_feed::CirculationCharges;
use carrel_billing::fee_fine::model::{FeeFineType, Owner};
use carrel_billing::posting::model::{Patience, Posting, PostingState, posting_id};
use carrel_billing::route::model::{Period, Route};
use carrel_billing::{Actor, Billing, MIGRATIONS, Sis, fee_fine, journal, posting, route};
use carrel_database::{Database, RequestKey, with_foundation};
use carrel_ids::new_id;
use carrel_money::{Currency, Money};
use carrel_outbox::{Projection, Wake};
use carrel_proto::circulation::v1::{ItemAgedToLost, LostItemReturned, OverdueFineIncurred};
use carrel_proto::events::v1::Event;
use carrel_runtime::{Clock, wire};
use carrel_student_accounts::StudentAccounts;
use carrel_testkit::TestDatabase;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use prost::{Message, Name};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::site::{LIBRARY_CODE, STUDENT, Site, TERM, term_dates};

pub struct Office {
    pub pool: PgPool,
    pub billing: Billing,
}

pub fn usd(cents: i64) -> Money {
    Money::from_minor(cents, Currency::USD).unwrap()
}

/// A request that nobody made before.
pub fn new_request() -> RequestKey {
    RequestKey {
        caller: "desk-1".into(),
        rpc: "/test",
        request_id: new_id(),
        fingerprint: [0; 32],
    }
}

pub fn desk() -> Actor {
    Actor {
        subject: "desk-1".into(),
        trace_parent: None,
    }
}

pub async fn test_database() -> TestDatabase {
    TestDatabase::prepared("billing", async |pool: &PgPool| {
        with_foundation(&MIGRATIONS).run(pool).await
    })
    .await
}

/// A student-information system with the patience of a test: it answers within
/// a second, and commits within two more.
pub fn impatient(accounts: StudentAccounts) -> Option<Arc<Sis>> {
    Some(Arc::new(Sis {
        accounts,
        patience: Patience {
            deadline: SignedDuration::from_secs(1),
            max_in_flight: SignedDuration::from_secs(2),
        },
    }))
}

impl Office {
    /// An office without a student-information system.
    pub async fn open() -> Self {
        Self::on(test_database().await.pool)
    }

    /// An office whose books are in this database.
    pub fn on(pool: PgPool) -> Self {
        let billing = Billing {
            database: Database::from_pool(pool.clone()),
            clock: Clock::movable(SignedDuration::ZERO),
            wake: Wake::default(),
            queue: Arc::new(Notify::new()),
            currency: Currency::USD,
            zone: TimeZone::get("America/Los_Angeles").unwrap(),
            posting_after: SignedDuration::ZERO,
            sis: None,
            batches: None,
            shutdown: CancellationToken::new(),
        };
        Self { pool, billing }
    }

    /// An office that posts to a site, with a route for every kind and a term.
    pub async fn at(site: &Site) -> Self {
        let office = Self::open().await.posting_to(site);
        office.set_up().await;
        office
    }

    /// The same office, with this student-information system.
    pub fn posting_to(mut self, site: &Site) -> Self {
        self.billing.sis = impatient(site.accounts(|_| {}));
        self
    }

    /// Adds a route for every kind and a term.
    pub async fn set_up(&self) {
        for kind in [
            FeeFineKind::OverdueFine,
            FeeFineKind::LostItemFee,
            FeeFineKind::LostItemProcessingFee,
        ] {
            self.add_route(kind).await;
        }
        self.add_term().await;
    }

    /// Another replica on the same books.
    pub fn replica(&self, site: &Site) -> Billing {
        Billing {
            sis: impatient(site.accounts(|_| {})),
            shutdown: CancellationToken::new(),
            ..self.billing.clone()
        }
    }

    pub async fn add_route(&self, kind: FeeFineKind) {
        let new_route = Route {
            id: Uuid::nil(),
            institution_code: String::new(),
            kind,
            funding_destination_id: LIBRARY_CODE.into(),
        };
        route::create_route(&self.billing, &new_request(), new_route)
            .await
            .unwrap();
    }

    pub async fn add_term(&self) {
        let (first_date, last_date) = term_dates();
        let period = Period {
            id: TERM.into(),
            code: "TERM".into(),
            first_date,
            last_date,
        };
        route::create_period(&self.billing, &new_request(), period)
            .await
            .unwrap();
    }

    /// A patron with a student account.
    pub async fn student(&self) -> Uuid {
        self.student_who_is(STUDENT).await
    }

    pub async fn student_who_is(&self, student: &str) -> Uuid {
        let patron_id = new_id();
        sqlx::query("insert into student_link values ($1, $2, 1, 1)")
            .bind(patron_id)
            .bind(student)
            .execute(&self.pool)
            .await
            .unwrap();
        patron_id
    }

    pub async fn apply<M: Name>(&self, message: &M) {
        self.try_apply(message).await.unwrap();
    }

    /// Applies an event as the consumer does.
    pub async fn try_apply<M: Name>(&self, message: &M) -> Result<(), carrel_outbox::ApplyError> {
        let event = Event {
            number: 1,
            event_id: new_id().to_string(),
            r#type: M::full_name(),
            subject_id: new_id().to_string(),
            payload: Message::encode_to_vec(message).into(),
            occurred_at: None,
            trace_parent: String::new(),
        };
        let mut transaction = self.pool.begin().await.unwrap();
        CirculationCharges::new(self.billing.clone())
            .apply(&mut transaction, 1, &event)
            .await?;
        transaction.commit().await.unwrap();
        Ok(())
    }

    /// An overdue fine as circulation tells it.
    pub fn fine(&self, patron_id: Uuid, cents: i64) -> OverdueFineIncurred {
        let now = Some(wire::to_timestamp(self.billing.clock.now()));
        OverdueFineIncurred {
            fine_id: new_id().to_string(),
            loan_id: new_id().to_string(),
            item_id: new_id().to_string(),
            patron_id: patron_id.to_string(),
            amount: Some(usd(cents).into()),
            library_code: "ALD-MAIN".into(),
            institution_code: "ALD".into(),
            due_at: now,
            ended_at: now,
        }
    }

    /// A loss as circulation tells it.
    pub fn loss(&self, patron_id: Uuid, fee_cents: i64, processing_cents: i64) -> ItemAgedToLost {
        ItemAgedToLost {
            loss_id: new_id().to_string(),
            loan_id: new_id().to_string(),
            item_id: new_id().to_string(),
            patron_id: patron_id.to_string(),
            lost_item_fee: Some(usd(fee_cents).into()),
            processing_fee: Some(usd(processing_cents).into()),
            library_code: "ALD-MAIN".into(),
            institution_code: "ALD".into(),
            aged_to_lost_at: Some(wire::to_timestamp(self.billing.clock.now())),
            ..Default::default()
        }
    }

    pub fn returned(&self, loss: &ItemAgedToLost) -> LostItemReturned {
        LostItemReturned {
            loss_id: loss.loss_id.clone(),
            loan_id: loss.loan_id.clone(),
            refund_lost_item_fee: true,
            refund_processing_fee: false,
            returned_at: Some(wire::to_timestamp(self.billing.clock.now())),
        }
    }

    /// A student with a fine that is not posted yet.
    pub async fn fined_student(&self, cents: i64) -> Account {
        let patron_id = self.student().await;
        self.apply(&self.fine(patron_id, cents)).await;
        self.only_account(patron_id).await
    }

    pub async fn accounts(&self, patron_id: Uuid) -> Vec<Account> {
        let ids: Vec<Uuid> =
            sqlx::query_scalar("select id from account where patron_id = $1 order by id")
                .bind(patron_id)
                .fetch_all(&self.pool)
                .await
                .unwrap();
        let mut accounts = Vec::new();
        for id in ids {
            accounts.push(account::get(&self.billing, id).await.unwrap().0);
        }
        accounts
    }

    pub async fn only_account(&self, patron_id: Uuid) -> Account {
        let mut accounts = self.accounts(patron_id).await;
        assert_eq!(accounts.len(), 1);
        accounts.remove(0)
    }

    /// The account as it is now.
    pub async fn now(&self, account: &Account) -> Account {
        account::get(&self.billing, account.id).await.unwrap().0
    }

    pub async fn owed(&self, patron_id: Uuid) -> Money {
        account::get_balance(&self.billing, patron_id)
            .await
            .unwrap()
            .outstanding
    }

    pub async fn pay(
        &self,
        account: &Account,
        cents: i64,
    ) -> Result<Account, carrel_billing::error::Error> {
        let note = Note {
            comment: String::new(),
            tender: Some((Tender::Cash, String::new())),
        };
        account::pay(
            &self.billing,
            &new_request(),
            &desk(),
            account.id,
            usd(cents),
            &note,
        )
        .await
    }

    pub async fn waive(
        &self,
        account: &Account,
        cents: i64,
    ) -> Result<Account, carrel_billing::error::Error> {
        account::waive(
            &self.billing,
            &new_request(),
            &desk(),
            account.id,
            usd(cents),
            "shelved by us",
        )
        .await
    }

    /// A posting of an account.
    pub async fn posting(&self, account: &Account, sequence: i32) -> Posting {
        posting::get(&self.billing, posting_id(account.charge_key(), sequence))
            .await
            .unwrap()
            .0
    }

    pub async fn posting_count(&self) -> i64 {
        sqlx::query_scalar("select count(*) from posting")
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Works the queue, as the background worker does, until a posting is in a
    /// state.
    pub async fn work_until(&self, account: &Account, sequence: i32, state: PostingState) {
        let what = format!("posting {sequence} becomes {}", state.name());
        carrel_testkit::eventually(&what, Duration::from_secs(15), async || {
            posting::work_queue(&self.billing).await.unwrap();
            (self.posting(account, sequence).await.state == state).then_some(())
        })
        .await;
    }

    /// The journal balances, and every total agrees with it.
    pub async fn assert_sound(&self) {
        let (_, sum) = journal::trial_balance(&self.billing).await.unwrap();
        assert_eq!(sum, usd(0));
        assert_eq!(journal::verify(&self.billing).await.unwrap(), []);
    }

    /// Reconciles without a difference; the total at the student accounts.
    pub async fn assert_reconciled(&self) -> Money {
        self.assert_sound().await;
        let result = posting::reconciliation::reconcile(&self.billing)
            .await
            .unwrap();
        assert_eq!(result.differences, []);
        assert_eq!(result.ledger_total, result.posting_total);
        assert_eq!(result.sis_total, result.posting_total);
        result.sis_total
    }

    /// A manual type and an owner, for charges by hand.
    pub async fn manual(&self, patron_id: Uuid, amount: Option<Money>) -> ManualCharge {
        let owner = Owner {
            id: Uuid::nil(),
            code: format!("DESK-{}", new_id().simple()),
            name: "Main desk".into(),
            institution_code: Some("ALD".into()),
            library_codes: vec![],
        };
        let fee_fine_type = FeeFineType {
            id: Uuid::nil(),
            code: format!("CARD-{}", new_id().simple()),
            kind: FeeFineKind::Manual,
            statement_text: "Library card replacement".into(),
            default_amount: Some(usd(500)),
        };
        let owner = fee_fine::create_owner(&self.billing, &new_request(), owner)
            .await
            .unwrap();
        let fee_fine_type = fee_fine::create_type(&self.billing, &new_request(), fee_fine_type)
            .await
            .unwrap();
        ManualCharge {
            patron_id,
            fee_fine_owner_id: owner.id,
            fee_fine_type_id: fee_fine_type.id,
            amount,
            comment: String::new(),
        }
    }
}
