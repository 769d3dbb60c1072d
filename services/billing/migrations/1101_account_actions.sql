-- Everything that the desk does to a charge: refunds, credits, cancellations, write-offs, disputes.
alter table account
    add column written_off numeric(14, 2) not null default 0,
    add column cancelled numeric(14, 2) not null default 0,
    -- What the library owes back of what was paid at the desk.
    add column owed_back numeric(14, 2) not null default 0,
    -- The tax that the amount includes.
    add column tax numeric(14, 2) not null default 0,
    add column is_disputed boolean not null default false,
    add column is_claimed_returned boolean not null default false,
    -- Neither posted nor counted towards blocks, nor ageing.
    add column is_suspended boolean generated always as (is_disputed or is_claimed_returned) stored,
    add column suspended_since timestamptz,
    -- From when its age counts: when it was charged, and as much later as it
    -- was suspended.
    add column ages_from timestamptz;

update account set ages_from = charged_at;

alter table account
    alter column ages_from set not null,
    drop constraint account_parts_are_not_negative,
    drop constraint account_parts_add_up,
    add constraint account_parts_are_not_negative check (
        paid >= 0 and waived >= 0 and credited >= 0 and settled >= 0 and written_off >= 0 and cancelled >= 0
        and owed_back >= 0
    ),
    add constraint account_parts_add_up check (
        amount = remaining + paid + waived + credited + settled + written_off + cancelled
    ),
    add constraint account_is_cancelled_whole check (cancelled in (0, amount)),
    add constraint account_tax_is_within_amount check (tax between 0 and amount),
    add constraint account_suspended_has_since check (is_suspended = (suspended_since is not null));

create index account_loan on account (loan_id) where loan_id is not null;
create index account_open on account (patron_id, charged_at, id) where remaining > 0;

-- What counts towards blocks is what is owed without what is suspended.
alter table patron_balance
    add column suspended numeric(14, 2) not null default 0,
    add constraint patron_balance_suspended_is_within_outstanding check (suspended between 0 and outstanding);

-- The journal also books what is about no charge: drawers, deposits, counts.
alter table journal_transaction
    alter column account_id drop not null,
    add column subject_id uuid,
    -- The first day of the closed month whose booking this one corrects.
    add column adjusts_month date,
    add constraint journal_transaction_is_about_one_thing check ((account_id is null) = (subject_id is not null));

create index journal_transaction_booked on journal_transaction (booked_at, id);
create index journal_transaction_subject on journal_transaction (subject_id) where subject_id is not null;

alter table journal_entry
    drop constraint journal_entry_ledger_account_is_known,
    add constraint journal_entry_ledger_account_is_known check (
        ledger_account in ('patron_receivable', 'sis_clearing', 'cash', 'revenue', 'waivers', 'credits',
                           'sis_settled', 'refunds_payable', 'tax_payable', 'write_offs', 'deposits',
                           'cash_over_short', 'copy_revenue')
    );

-- Months into which nothing is booked any more.
create table closed_month (
    month date not null,
    -- The instant at which it ended.
    ended_at timestamptz not null,
    closed_by text not null,
    closed_at timestamptz not null,
    constraint closed_month_pkey primary key (month),
    constraint closed_month_is_over check (ended_at <= closed_at)
);

-- The trial balance as closed, for the proof that it still holds.
create table closed_month_balance (
    month date not null,
    ledger_account text not null,
    currency text not null,
    balance numeric(14, 2) not null,
    constraint closed_month_balance_pkey primary key (month, ledger_account, currency),
    constraint closed_month_balance_has_month foreign key (month) references closed_month (month)
);

-- Whoever closes a month first waits for all who are booking (a lock on the
-- table), so that this look cannot miss a month that is being closed.
create function journal_month_check() returns trigger language plpgsql as $$
begin
    if exists (
        select from inserted where booked_at < (select max(ended_at) from closed_month)
    ) then
        raise exception 'the month is closed; book a correction in an open month'
            using errcode = 'integrity_constraint_violation', constraint = 'journal_transaction_is_in_open_month';
    end if;
    return null;
end
$$;

create trigger journal_transaction_is_in_open_month
    after insert on journal_transaction referencing new table as inserted
    for each statement execute function journal_month_check();

create trigger closed_month_is_append_only
    before update or delete or truncate on closed_month
    for each statement execute function refuse_change();
create trigger closed_month_balance_is_append_only
    before update or delete or truncate on closed_month_balance
    for each statement execute function refuse_change();
revoke update, delete, truncate on closed_month_balance from current_user;
revoke delete, truncate on closed_month from current_user;

-- Payments: one tender, one receipt, any number of charges.
create table payment (
    id uuid not null,
    patron_id uuid not null,
    tender text not null,
    tender_reference text not null,
    amount numeric(14, 2) not null,
    tendered numeric(14, 2) not null,
    currency text not null,
    taken_by text not null,
    taken_at timestamptz not null,
    drawer_session_id uuid,
    -- When the bank returned its cheque.
    returned_at timestamptz,
    constraint payment_pkey primary key (id),
    constraint payment_amount_is_positive check (amount > 0),
    constraint payment_tendered_is_enough check (tendered >= amount),
    constraint payment_change_is_cash check (tendered = amount or tender = 'cash'),
    constraint payment_tender_is_known check (tender in ('cash', 'cheque', 'card')),
    constraint payment_returned_is_cheque check (returned_at is null or tender = 'cheque')
) with (fillfactor = 90);

create index payment_patron on payment (patron_id, id);
create index payment_drawer_session on payment (drawer_session_id, id) where drawer_session_id is not null;

create table payment_part (
    payment_id uuid not null,
    account_id uuid not null,
    action_id uuid not null,
    amount numeric(14, 2) not null,
    -- Refunded, reversed or returned. Changes under the account's lock.
    given_back numeric(14, 2) not null default 0,
    constraint payment_part_pkey primary key (payment_id, account_id),
    constraint payment_part_action_key unique (action_id),
    constraint payment_part_has_payment foreign key (payment_id) references payment (id),
    constraint payment_part_has_account foreign key (account_id) references account (id),
    constraint payment_part_amount_is_positive check (amount > 0),
    constraint payment_part_given_back_is_within_amount check (given_back between 0 and amount)
) with (fillfactor = 90);

create index payment_part_account on payment_part (account_id);

-- What was paid before payments were kept: each action its own.
insert into payment (id, patron_id, tender, tender_reference, amount, tendered, currency, taken_by, taken_at)
select action.id, account.patron_id, action.tender, coalesce(action.tender_reference, ''), action.amount, action.amount,
       action.currency, action.actor, action.occurred_at
from account_action action join account on account.id = action.account_id
where action.kind = 'pay';

insert into payment_part (payment_id, account_id, action_id, amount)
select id, account_id, id, amount from account_action where kind = 'pay';

-- A return's credit names the charge that it takes back, and a charge is taken
-- back once (journal_transaction_is_reversed_once); credits by hand may be several.
drop index account_action_credit_key;

alter table account_action
    -- A dispute moves no money.
    alter column journal_transaction_id drop not null,
    add column payment_id uuid,
    add column reverses_action_id uuid,
    drop constraint account_action_payment_has_tender,
    add constraint account_action_payment_has_tender check (
        (kind in ('pay', 'refund', 'return_cheque')) = (tender is not null)
    ),
    add constraint account_action_payment_is_one check (payment_id is null or kind in ('pay', 'refund', 'return_cheque', 'reverse')),
    -- No foreign key: it would need the privilege to update what is never updated.
    add constraint account_action_reversal_names_one check ((kind = 'reverse') = (reverses_action_id is not null));

create unique index account_action_is_reversed_once on account_action (reverses_action_id)
    where reverses_action_id is not null;

-- Money given back at the desk, and from which drawer session.
create table refund (
    id uuid not null,
    payment_id uuid not null,
    account_id uuid not null,
    amount numeric(14, 2) not null,
    currency text not null,
    tender text not null,
    drawer_session_id uuid,
    refunded_at timestamptz not null,
    constraint refund_pkey primary key (id),
    constraint refund_has_part foreign key (payment_id, account_id) references payment_part (payment_id, account_id),
    constraint refund_amount_is_positive check (amount > 0)
);
create index refund_drawer_session on refund (drawer_session_id) where drawer_session_id is not null;
create index refund_part on refund (payment_id, account_id);
