-- What staff do to loans beside lending and taking back.

alter table loan
    -- The due date for which renewing it by itself was tried: once for each.
    add column automatic_renewal_tried_for timestamptz;

alter table loan_action
    -- What a declared loss costs.
    add column lost_item_fee numeric(14, 2),
    add column lost_item_fee_currency text,
    add column processing_fee numeric(14, 2),
    add column processing_fee_currency text,
    -- Whether staff set the lost item fee later.
    add column actual_cost_to_be_set boolean not null default false,
    add constraint loan_action_lost_item_fee_has_currency
        check ((lost_item_fee is null) = (lost_item_fee_currency is null)),
    add constraint loan_action_processing_fee_has_currency
        check ((processing_fee is null) = (processing_fee_currency is null));

-- Many due dates that are changed as one. The loans are moved in batches, by
-- whichever replica comes to it, each once.
create table due_date_change (
    id uuid not null,
    -- Where it was asked for; null: nowhere, by itself.
    service_point_id uuid,
    comment text not null,
    actor text not null,
    created_at timestamptz not null,
    constraint due_date_change_pkey primary key (id),
    constraint due_date_change_service_point_exists foreign key (service_point_id) references service_point (id)
);

create table due_date_change_loan (
    due_date_change_id uuid not null,
    loan_id uuid not null,
    due_at timestamptz not null,
    -- '' while it waits, 'MOVED', or the reason why the loan was left as it
    -- was.
    outcome text not null default '',
    constraint due_date_change_loan_pkey primary key (due_date_change_id, loan_id),
    constraint due_date_change_loan_change_exists foreign key (due_date_change_id)
        references due_date_change (id) on delete cascade,
    constraint due_date_change_loan_exists foreign key (loan_id) references loan (id)
);

create index due_date_change_loan_waiting on due_date_change_loan (due_date_change_id, loan_id)
    where outcome = '';

-- When an item last came over a desk, for what is told afterwards.
create index check_in_item on check_in (item_id, occurred_at);
