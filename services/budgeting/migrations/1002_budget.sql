-- Budgets: a fund in a fiscal year, with the totals that limits need.

create table budget (
    id uuid not null,
    fund_id uuid not null,
    fiscal_year_id uuid not null,
    status text not null,
    currency text not null,
    allowable_encumbrance_percent integer not null,
    allowable_expenditure_percent integer not null,
    -- The totals change only in the transaction that writes the journal, on
    -- this row, locked; VerifyBudgets proves them equal to it.
    allocated numeric(14, 2) not null default 0,
    net_transfers numeric(14, 2) not null default 0,
    encumbered numeric(14, 2) not null default 0,
    awaiting_payment numeric(14, 2) not null default 0,
    expended numeric(14, 2) not null default 0,
    credited numeric(14, 2) not null default 0,
    revision bigint not null default 1,
    created_at timestamptz not null,
    constraint budget_pkey primary key (id),
    constraint budget_fund_year_key unique (fund_id, fiscal_year_id),
    -- So that journal entries and encumbrances can be held to its currency.
    constraint budget_currency_key unique (id, currency),
    constraint budget_fund_exists foreign key (fund_id) references fund (id),
    constraint budget_fiscal_year_exists
        foreign key (fiscal_year_id, currency) references fiscal_year (id, currency),
    constraint budget_status_is_known
        check (status in ('active', 'frozen', 'inactive', 'planned', 'closed')),
    constraint budget_encumbrance_percent_in_range
        check (allowable_encumbrance_percent between 0 and 1000),
    constraint budget_expenditure_percent_in_range
        check (allowable_expenditure_percent between 0 and 1000),
    constraint budget_funding_is_not_negative check (allocated + net_transfers >= 0),
    constraint budget_commitments_are_not_negative
        check (encumbered >= 0 and awaiting_payment >= 0 and expended >= 0 and credited >= 0),
    -- The last guard of the limit, the same rule as in budget/model.rs. Times
    -- 0.01 and not divided by 100: numeric multiplication is exact.
    constraint budget_commitments_are_within_the_limit check (
        encumbered + awaiting_payment + expended
        <= trunc((allocated + net_transfers) * allowable_encumbrance_percent * 0.01, 2)
    )
) with (fillfactor = 50);

create index budget_fiscal_year on budget (fiscal_year_id, fund_id);
