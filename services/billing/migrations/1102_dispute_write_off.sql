-- Decisions of two persons: disputes, and write-offs above the district's limit.
create table dispute (
    id uuid not null,
    account_id uuid not null,
    opened_by text not null,
    opened_at timestamptz not null,
    reason text not null,
    outcome text,
    decided_by text,
    decided_at timestamptz,
    comment text not null default '',
    constraint dispute_pkey primary key (id),
    constraint dispute_has_account foreign key (account_id) references account (id),
    constraint dispute_outcome_is_known check (outcome in ('upheld', 'denied')),
    constraint dispute_is_decided_whole check (num_nonnulls(outcome, decided_by, decided_at) in (0, 3)),
    constraint dispute_is_decided_by_another check (decided_by <> opened_by)
);

create unique index dispute_account_open_key on dispute (account_id) where outcome is null;
create index dispute_account on dispute (account_id, id);

create table write_off (
    id uuid not null,
    account_id uuid not null,
    amount numeric(14, 2) not null,
    currency text not null,
    state text not null,
    -- Whether the limit asks for a second person.
    needs_approval boolean not null,
    reason text not null,
    requested_by text not null,
    requested_at timestamptz not null,
    decided_by text,
    decided_at timestamptz,
    comment text not null default '',
    constraint write_off_pkey primary key (id),
    constraint write_off_has_account foreign key (account_id) references account (id),
    constraint write_off_amount_is_positive check (amount > 0),
    constraint write_off_state_is_known check (state in ('waiting', 'approved', 'refused')),
    constraint write_off_waiting_is_undecided check ((state = 'waiting') = (decided_at is null)),
    constraint write_off_above_limit_has_decider check (
        not needs_approval or (decided_by is not null) = (state <> 'waiting')
    ),
    constraint write_off_is_decided_by_another check (decided_by <> requested_by)
);

create unique index write_off_account_waiting_key on write_off (account_id) where state = 'waiting';
create index write_off_account on write_off (account_id, id);

-- What the district decides about money at the desk: one row.
create table billing_rules (
    singleton boolean not null default true,
    -- What a patron owes below this does not count towards blocks.
    minimum_counted numeric(14, 2) not null default 0,
    -- What is written off of one charge above this needs a second person.
    write_off_limit numeric(14, 2) not null default 0,
    revision bigint not null default 1,
    constraint billing_rules_pkey primary key (singleton),
    constraint billing_rules_is_one_row check (singleton),
    constraint billing_rules_are_not_negative check (minimum_counted >= 0 and write_off_limit >= 0)
);
insert into billing_rules default values;
