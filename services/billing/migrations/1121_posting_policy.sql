-- What is posted, and when.
create table posting_policy (
    singleton boolean not null default true,
    -- The criteria as the contract's message; empty: every charge.
    criterion bytea not null default '',
    -- Days that pass between a dated notice and the posting; null: no notice is needed.
    notice_wait_days integer,
    revision bigint not null,
    changed_by text not null,
    changed_at timestamptz not null,
    constraint posting_policy_pkey primary key (singleton),
    constraint posting_policy_is_one_row check (singleton),
    constraint posting_policy_notice_wait_is_not_negative check (notice_wait_days >= 0)
);

-- The dated notice of a charge: the first one counts.
create table posting_notice (
    account_id uuid not null,
    noticed_on date not null,
    recorded_by text not null,
    recorded_at timestamptz not null,
    constraint posting_notice_pkey primary key (account_id),
    constraint posting_notice_has_account foreign key (account_id) references account (id)
);

-- Charges that were returned to the library: paid at the desk, and not posted until somebody lifts it.
create table posting_hold (
    account_id uuid not null,
    held_by text not null,
    comment text not null,
    held_at timestamptz not null,
    constraint posting_hold_pkey primary key (account_id),
    constraint posting_hold_has_account foreign key (account_id) references account (id)
);

-- What waits for people, oldest first.
create index posting_work on posting (updated_at, id) where state in ('rejected', 'unknown', 'unrouted');
