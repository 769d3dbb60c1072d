-- Accounts: one charge each. The totals on the row are kept in the journal's
-- transaction, under the row's lock.
create table account (
    id uuid not null,
    reference text not null,
    patron_id uuid not null,
    fee_fine_owner_id uuid not null,
    fee_fine_type_id uuid not null,
    kind text not null,
    currency text not null,
    amount numeric(14, 2) not null,
    remaining numeric(14, 2) not null,
    paid numeric(14, 2) not null default 0,
    waived numeric(14, 2) not null default 0,
    credited numeric(14, 2) not null default 0,
    -- Paid at the student account.
    settled numeric(14, 2) not null default 0,
    -- What the student account bears of it and nobody has paid there. Less
    -- than what remains: some is still to be posted. More: a credit is.
    at_sis numeric(14, 2) not null default 0,
    payment_status text not null,
    -- What circulation calls it (a fine, a loss); null for a charge by hand.
    source_id uuid,
    -- Null for a charge by hand, and once nothing is owed.
    loan_id uuid,
    institution_code text,
    library_code text,
    charged_at timestamptz not null,
    revision bigint not null,
    constraint account_pkey primary key (id),
    constraint account_reference_key unique (reference),
    -- An event that comes twice makes one charge.
    constraint account_source_kind_key unique (source_id, kind),
    constraint account_has_owner foreign key (fee_fine_owner_id) references fee_fine_owner (id),
    constraint account_has_type foreign key (fee_fine_type_id) references fee_fine_type (id),
    constraint account_amount_is_positive check (amount > 0),
    constraint account_remaining_is_within_amount check (remaining between 0 and amount),
    constraint account_at_sis_is_within_amount check (at_sis between 0 and amount),
    constraint account_parts_are_not_negative check (paid >= 0 and waived >= 0 and credited >= 0 and settled >= 0),
    constraint account_parts_add_up check (amount = remaining + paid + waived + credited + settled)
) with (fillfactor = 80);

create index account_patron on account (patron_id, id);
-- What is to be posted, or to be credited at the student account.
create index account_to_post on account (charged_at) where remaining <> at_sis;
create index account_at_sis on account (id) where at_sis > 0;

-- Every reference that ever stood on a student account, and its charge.
create table reference (
    reference text not null,
    account_id uuid not null,
    constraint reference_pkey primary key (reference)
);

create table account_action (
    id uuid not null,
    account_id uuid not null,
    kind text not null,
    amount numeric(14, 2) not null,
    remaining numeric(14, 2) not null,
    currency text not null,
    actor text not null,
    comment text not null,
    tender text,
    tender_reference text,
    occurred_at timestamptz not null,
    journal_transaction_id uuid not null,
    constraint account_action_pkey primary key (id),
    constraint account_action_has_account foreign key (account_id) references account (id),
    constraint account_action_payment_has_tender check ((kind = 'pay') = (tender is not null)),
    constraint account_action_remaining_is_not_negative check (remaining >= 0)
);

create index account_action_account on account_action (account_id, id);
-- What the policy gives back is given back once.
create unique index account_action_credit_key on account_action (account_id) where kind = 'credit';

-- Losses whose item came back.
create table loss_return (
    loss_id uuid not null,
    refund_lost_item_fee boolean not null,
    refund_processing_fee boolean not null,
    returned_at timestamptz not null,
    constraint loss_return_pkey primary key (loss_id)
);

-- What each patron owes, here and at the student account.
create table patron_balance (
    patron_id uuid not null,
    outstanding numeric(14, 2) not null,
    currency text not null,
    revision bigint not null,
    constraint patron_balance_pkey primary key (patron_id),
    constraint patron_balance_is_not_negative check (outstanding >= 0)
) with (fillfactor = 80);
