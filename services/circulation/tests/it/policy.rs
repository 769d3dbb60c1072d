//! What policies say, kept as it was said and refused where it does not hold
//! together; and what their terms do to fines and losses.

use carrel_proto::circulation::v1::*;

use crate::desk::*;

/// A loan policy with everything set.
fn laptops() -> LoanPolicy {
    LoanPolicy {
        code: "laptops".into(),
        name: "Laptops".into(),
        period: Some(period(4, PeriodUnit::Hours)),
        closed_library_due_date: ClosedLibraryDueDate::BeginningOfNextHours.into(),
        opening_offset: Some(period(0, PeriodUnit::Minutes)),
        grace: Some(period(10, PeriodUnit::Minutes)),
        item_limit: 1,
        category: LoanCategory::Equipment.into(),
        item_limit_scope: ItemLimitScope::MaterialType.into(),
        fixed_due_dates: vec![term((2026, 8, 15), (2026, 12, 13), (2026, 12, 20))],
        alternate_period_when_requested: Some(period(1, PeriodUnit::Hours)),
        renewal_period: Some(period(90, PeriodUnit::Minutes)),
        renewal_fixed_due_dates: vec![term((2026, 8, 15), (2026, 12, 20), (2026, 12, 21))],
        overnight_window: Some(period(2, PeriodUnit::Hours)),
        overnight_offset: Some(period(0, PeriodUnit::Minutes)),
        reborrow_after: Some(period(1, PeriodUnit::Days)),
        agreement: "laptop-2026.1".into(),
        minimum_period: Some(period(30, PeriodUnit::Minutes)),
        ..two_weeks()
    }
}

fn term(first: (i32, i32, i32), last: (i32, i32, i32), due: (i32, i32, i32)) -> FixedDueDate {
    FixedDueDate {
        first_date: date(first.0, first.1, first.2),
        last_date: date(last.0, last.1, last.2),
        due_date: date(due.0, due.1, due.2),
    }
}

/// A building-use policy.
fn in_the_building() -> LoanPolicy {
    LoanPolicy {
        code: "in-house-reserve".into(),
        period: Some(period(2, PeriodUnit::Hours)),
        closed_library_due_date: ClosedLibraryDueDate::EndOfCurrentHours.into(),
        category: LoanCategory::Reserve.into(),
        item_limit_scope: ItemLimitScope::LoanType.into(),
        building_use: true,
        ..two_weeks()
    }
}

fn recalls() -> OverdueFinePolicy {
    OverdueFinePolicy {
        recall_amount: Some(usd(200)),
        recall_interval: Some(period(1, PeriodUnit::Hours)),
        recall_maximum: Some(usd(5_000)),
        no_grace_for_recalls: true,
        forgive_on_renewal: true,
        ..daily()
    }
}

fn everything_lost() -> LostItemPolicy {
    LostItemPolicy {
        set_cost: None,
        recalled_aged_to_lost_after: Some(period(90, PeriodUnit::Minutes)),
        actual_cost: true,
        no_fees_when_declared: true,
        declared_processing_fee: Some(usd(500)),
        no_fees_within: Some(period(3, PeriodUnit::Days)),
        damage_fee: Some(usd(2_500)),
        refund_processing_fee: true,
        ..standard()
    }
}

#[tokio::test]
async fn every_term_reads_back_by_id_and_by_version() {
    let desk = Desk::open().await;
    let mut policies = desk.policies();
    let get = |id: &str| GetLoanPolicyRequest { id: id.into() };
    let mut made = Vec::new();
    for given in [laptops(), in_the_building()] {
        let policy = desk.loan_policy(given.clone()).await;
        let said = LoanPolicy {
            id: String::new(),
            version: 0,
            ..policy.clone()
        };
        assert_eq!(said, given);
        let read = policies.get_loan_policy(get(&policy.id)).await.unwrap();
        assert_eq!(read.into_inner().loan_policy.unwrap(), policy);
        made.push(policy);
    }
    // The next version leaves the first as it was.
    let second = desk
        .loan_policy(LoanPolicy {
            agreement: "laptop-2026.2".into(),
            ..laptops()
        })
        .await;
    assert_eq!(second.version, 2);
    let read = policies.get_loan_policy(get(&made[0].id)).await.unwrap();
    assert_eq!(read.into_inner().loan_policy.unwrap(), made[0]);

    let versions = |page_token: String| ListLoanPoliciesRequest {
        page_size: 1,
        page_token,
        code: "laptops".into(),
    };
    let newest = policies.list_loan_policies(versions(String::new())).await;
    let newest = newest.unwrap().into_inner();
    assert_eq!(newest.loan_policies, [second]);
    let oldest = policies
        .list_loan_policies(versions(newest.next_page_token.clone()))
        .await;
    let oldest = oldest.unwrap().into_inner();
    assert_eq!(oldest.loan_policies, [made[0].clone()]);
    assert_eq!(oldest.next_page_token, "");
    let other_query = ListLoanPoliciesRequest {
        code: String::new(),
        ..versions(newest.next_page_token)
    };
    let refused = policies.list_loan_policies(other_query).await;
    assert_eq!(reason(refused), "PAGE_TOKEN_FROM_ANOTHER_QUERY");
}

#[tokio::test]
async fn fine_and_lost_item_policies_read_back_by_id_and_by_version() {
    let desk = Desk::open().await;
    let mut policies = desk.policies();
    desk.fine_policy(recalls()).await;
    let list = ListOverdueFinePoliciesRequest {
        code: "daily".into(),
        ..Default::default()
    };
    let listed = policies.list_overdue_fine_policies(list).await.unwrap();
    let listed = listed.into_inner().overdue_fine_policies;
    let versions: Vec<i32> = listed.iter().map(|policy| policy.version).collect();
    assert_eq!(versions, [2, 1]);
    let get = GetOverdueFinePolicyRequest {
        id: listed[0].id.clone(),
    };
    let read = policies.get_overdue_fine_policy(get).await.unwrap();
    let read = read.into_inner().overdue_fine_policy.unwrap();
    assert_eq!(
        OverdueFinePolicy {
            id: String::new(),
            version: 0,
            ..read
        },
        recalls()
    );

    desk.lost_policy(everything_lost()).await;
    let list = ListLostItemPoliciesRequest {
        code: "standard".into(),
        ..Default::default()
    };
    let listed = policies.list_lost_item_policies(list).await.unwrap();
    let listed = listed.into_inner().lost_item_policies;
    let versions: Vec<i32> = listed.iter().map(|policy| policy.version).collect();
    assert_eq!(versions, [2, 1]);
    let get = GetLostItemPolicyRequest {
        id: listed[0].id.clone(),
    };
    let read = policies.get_lost_item_policy(get).await.unwrap();
    let lost = read.into_inner().lost_item_policy.unwrap();
    assert_eq!(
        LostItemPolicy {
            id: String::new(),
            version: 0,
            ..lost.clone()
        },
        everything_lost()
    );

    // An id of another kind of policy is none of this kind.
    for id in [lost.id, id()] {
        let get = GetLoanPolicyRequest { id: id.clone() };
        assert_eq!(
            reason(policies.get_loan_policy(get).await),
            "POLICY_NOT_FOUND"
        );
        let get = GetOverdueFinePolicyRequest { id };
        let refused = policies.get_overdue_fine_policy(get).await;
        assert_eq!(reason(refused), "POLICY_NOT_FOUND");
    }
    let get = GetLostItemPolicyRequest { id: id() };
    assert_eq!(
        reason(policies.get_lost_item_policy(get).await),
        "POLICY_NOT_FOUND"
    );
}

#[tokio::test]
async fn loan_terms_that_do_not_hold_together_are_refused() {
    let desk = Desk::open().await;
    let days = Some(period(1, PeriodUnit::Days));
    let minutes = Some(period(30, PeriodUnit::Minutes));
    let malformed = "POLICY_MALFORMED";
    let table = [
        (
            LoanPolicy {
                alternate_period_when_requested: days,
                ..laptops()
            },
            malformed,
        ),
        (
            LoanPolicy {
                renewal_period: days,
                ..laptops()
            },
            malformed,
        ),
        (
            LoanPolicy {
                minimum_period: days,
                ..laptops()
            },
            malformed,
        ),
        (
            LoanPolicy {
                minimum_period: minutes,
                ..two_weeks()
            },
            malformed,
        ),
        (
            LoanPolicy {
                overnight_window: days,
                ..laptops()
            },
            malformed,
        ),
        (
            LoanPolicy {
                overnight_offset: days,
                ..laptops()
            },
            malformed,
        ),
        (
            LoanPolicy {
                overnight_offset: None,
                ..laptops()
            },
            "FIELD_MISSING",
        ),
        (
            LoanPolicy {
                overnight_window: None,
                ..laptops()
            },
            "FIELD_MISSING",
        ),
        (
            LoanPolicy {
                overnight_window: minutes,
                overnight_offset: minutes,
                ..two_weeks()
            },
            malformed,
        ),
        (
            LoanPolicy {
                building_use: true,
                ..laptops()
            },
            malformed,
        ),
        (
            LoanPolicy {
                building_use: true,
                ..two_weeks()
            },
            malformed,
        ),
        (
            LoanPolicy {
                overnight_window: minutes,
                overnight_offset: minutes,
                ..in_the_building()
            },
            malformed,
        ),
        (
            LoanPolicy {
                profile: LoanProfile::Fixed.into(),
                fixed_due_dates: vec![term((2026, 8, 15), (2026, 12, 13), (2026, 12, 20))],
                renewal_period: days,
                ..two_weeks()
            },
            malformed,
        ),
        (
            LoanPolicy {
                renewal_fixed_due_dates: vec![term((2026, 8, 15), (2026, 8, 14), (2026, 12, 20))],
                ..two_weeks()
            },
            malformed,
        ),
        (
            LoanPolicy {
                item_limit_scope: 9,
                ..two_weeks()
            },
            "VALUE_UNKNOWN",
        ),
        (
            LoanPolicy {
                agreement: "x".repeat(81),
                ..two_weeks()
            },
            "TEXT_LENGTH",
        ),
        (
            LoanPolicy {
                reborrow_after: Some(period(-1, PeriodUnit::Days)),
                ..two_weeks()
            },
            "PERIOD_OUT_OF_RANGE",
        ),
    ];
    for (policy, expected) in table {
        let request = CreateLoanPolicyRequest {
            loan_policy: Some(policy),
            request_id: id(),
        };
        let refused = desk.policies().create_loan_policy(request.clone()).await;
        assert_eq!(reason(refused), expected, "{request:?}");
    }
}

#[tokio::test]
async fn charges_that_do_not_hold_together_are_refused() {
    let desk = Desk::open().await;
    let cad = |minor| {
        let money = carrel_money::Money::from_minor(minor, carrel_money::Currency::CAD);
        Some(money.unwrap().into())
    };
    let malformed = "POLICY_MALFORMED";
    for (policy, expected) in [
        (
            OverdueFinePolicy {
                recall_amount: cad(100),
                ..daily()
            },
            malformed,
        ),
        (
            OverdueFinePolicy {
                recall_maximum: Some(usd(-1)),
                ..daily()
            },
            malformed,
        ),
        (
            OverdueFinePolicy {
                recall_interval: Some(period(1, PeriodUnit::Months)),
                count_closed: false,
                ..daily()
            },
            malformed,
        ),
        (
            OverdueFinePolicy {
                recall_interval: Some(period(0, PeriodUnit::Days)),
                ..daily()
            },
            "PERIOD_OUT_OF_RANGE",
        ),
    ] {
        let request = CreateOverdueFinePolicyRequest {
            overdue_fine_policy: Some(policy),
            request_id: id(),
        };
        let refused = desk
            .policies()
            .create_overdue_fine_policy(request.clone())
            .await;
        assert_eq!(reason(refused), expected, "{request:?}");
    }
    for (policy, expected) in [
        (
            LostItemPolicy {
                actual_cost: true,
                ..standard()
            },
            malformed,
        ),
        (
            LostItemPolicy {
                declared_processing_fee: cad(100),
                ..standard()
            },
            malformed,
        ),
        (
            LostItemPolicy {
                damage_fee: Some(usd(-1)),
                ..standard()
            },
            malformed,
        ),
        (
            LostItemPolicy {
                damage_fee: Some(usd(1_000_001)),
                ..standard()
            },
            malformed,
        ),
        (
            LostItemPolicy {
                no_fees_within: Some(period(0, PeriodUnit::Days)),
                ..standard()
            },
            "PERIOD_OUT_OF_RANGE",
        ),
    ] {
        let request = CreateLostItemPolicyRequest {
            lost_item_policy: Some(policy),
            request_id: id(),
        };
        let refused = desk
            .policies()
            .create_lost_item_policy(request.clone())
            .await;
        assert_eq!(reason(refused), expected, "{request:?}");
    }
}

#[tokio::test]
async fn a_recalled_book_costs_its_own_rate_and_another_one_does_not() {
    let desk = Desk::open().await;
    desk.fine_policy(recalls()).await;
    desk.student("S1").await;
    for barcode in ["30001", "30002"] {
        desk.book(barcode).await;
        desk.check_out(barcode, "S1").await.unwrap();
    }
    sqlx::query(
        "update loan set recalled_at = checked_out_at
         where item_id = (select item_id from item_projection where barcode = '30001')",
    )
    .execute(&desk.database.pool)
    .await
    .unwrap();
    // Due at the end of the 15th: ten hours and a moment, or a day begun.
    desk.wait_until("2026-09-16T10:00:00");
    let recalled = desk.check_in("30001").await.unwrap().overdue_fine;
    assert_eq!(recalled, Some(usd(11 * 200)));
    assert_eq!(
        desk.check_in("30002").await.unwrap().overdue_fine,
        Some(usd(25))
    );
    let told: Vec<OverdueFineIncurred> = desk.told().await;
    let amounts: Vec<_> = told.into_iter().map(|fine| fine.amount).collect();
    assert_eq!(amounts, [Some(usd(2_200)), Some(usd(25))]);
}

#[tokio::test]
async fn a_renewal_forgives_the_fine_so_far_where_the_policy_says_so() {
    let desk = Desk::open().await;
    desk.fine_policy(recalls()).await;
    desk.loan_policy(LoanPolicy {
        renew_from: RenewFrom::Now.into(),
        ..two_weeks()
    })
    .await;
    desk.student("S1").await;
    desk.book("30001").await;
    desk.check_out("30001", "S1").await.unwrap();
    desk.wait_until("2026-09-18T10:00:00");
    let renewed = desk.renew("30001").await.unwrap();
    assert_eq!(renewed.overdue_fine, None);
    assert_eq!(local(renewed.loan.unwrap().due_at), "2026-10-02T23:59:59");
    desk.wait_until("2026-10-03T10:00:00");
    let fine = desk.check_in("30001").await.unwrap().overdue_fine;
    assert_eq!(fine, Some(usd(25)), "a new count");
    assert_eq!(desk.told::<OverdueFineIncurred>().await.len(), 1);
}

#[tokio::test]
async fn the_actual_cost_of_a_loss_is_left_to_staff_and_an_early_return_owes_nothing() {
    let desk = Desk::open().await;
    desk.lost_policy(LostItemPolicy {
        aged_to_lost_after: Some(period(90, PeriodUnit::Minutes)),
        ..everything_lost()
    })
    .await;
    desk.student("S1").await;
    desk.book("30001").await;
    desk.book("30002").await;
    desk.check_out("30001", "S1").await.unwrap();
    desk.check_out("30002", "S1").await.unwrap();
    desk.wait_until("2026-09-16T01:30:00");
    let age = RunAgeingRequest { request_id: id() };
    desk.loans().run_ageing(age).await.unwrap();
    let lost = carrel_testkit::eventually(
        "both are lost",
        std::time::Duration::from_secs(20),
        async || Some(desk.told::<ItemAgedToLost>().await).filter(|lost| lost.len() == 2),
    )
    .await;
    for loss in &lost {
        assert!(loss.actual_cost_to_be_set);
        assert_eq!(
            (loss.lost_item_fee.clone(), loss.processing_fee.clone()),
            (None, Some(usd(1_000)))
        );
    }
    // Back within three days of the loss, and after them.
    desk.wait_until("2026-09-19T01:00:00");
    desk.check_in("30001").await.unwrap();
    desk.wait_until("2027-03-30T01:31:00");
    desk.check_in("30002").await.unwrap();
    let returned: Vec<LostItemReturned> = desk.told().await;
    let refunds: Vec<_> = returned
        .iter()
        .map(|told| (told.refund_lost_item_fee, told.refund_processing_fee))
        .collect();
    assert_eq!(refunds, [(true, true), (false, false)]);
}

#[tokio::test]
async fn policies_from_before_these_terms_still_hold() {
    let desk = Desk::open().await;
    // As the first versions of this service kept them.
    for (kind, code, terms) in [
        (
            "loan",
            "two-weeks",
            r#"{"loanable": true, "profile": {"rolling": {"count": 7, "unit": "days"}},
                "fixed_due_dates": [], "closed_library_due_date": "keep", "grace": null,
                "renewals_allowed": 1, "renew_from": "due_date", "item_limit": 0}"#,
        ),
        (
            "overdue_fine",
            "daily",
            r#"{"amount": "0.30 USD", "interval": {"count": 1, "unit": "days"}, "maximum": null,
                "count_closed": true, "forgive_when_lost": false}"#,
        ),
        (
            "lost_item",
            "standard",
            r#"{"aged_to_lost_after": null, "set_cost": null, "charge_set_cost": false,
                "processing_fee": null, "refund_within": null, "refund_processing_fee": false}"#,
        ),
    ] {
        sqlx::query(
            "insert into policy (id, kind, code, version, name, terms, created_at, created_by)
             values (gen_random_uuid(), $1, $2, 2, 'older', $3::jsonb, now(), 'staff')",
        )
        .bind(kind)
        .bind(code)
        .bind(terms)
        .execute(&desk.database.pool)
        .await
        .unwrap();
    }
    desk.student("S1").await;
    desk.book("30001").await;
    let lent = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    assert_eq!(local(lent.due_at), "2026-09-08T23:59:59");
    desk.wait_until("2026-09-09T10:00:00");
    assert_eq!(
        desk.check_in("30001").await.unwrap().overdue_fine,
        Some(usd(30))
    );
    let listed = desk
        .policies()
        .list_loan_policies(ListLoanPoliciesRequest::default())
        .await
        .unwrap();
    let listed = listed.into_inner().loan_policies;
    assert!(listed.iter().any(|policy| policy.name == "older"));
}
