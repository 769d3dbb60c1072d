-- The limits of a patron group that were wanting, and what each of them blocks.
alter table patron_limits
    add column max_overdue_recalls integer not null default 0,
    add column max_recall_overdue_days integer not null default 0,
    -- 1 borrowing, 2 renewals, 4 requests, added up.
    add column max_loans_blocks smallint not null default 1,
    add column max_overdue_blocks smallint not null default 3,
    add column max_lost_blocks smallint not null default 3,
    add column max_balance_blocks smallint not null default 3,
    add column max_overdue_recalls_blocks smallint not null default 3,
    add column max_recall_overdue_days_blocks smallint not null default 3,
    drop constraint patron_limits_are_not_negative,
    add constraint patron_limits_are_not_negative check (
        max_loans >= 0 and max_overdue >= 0 and max_lost >= 0 and max_balance >= 0
        and max_overdue_recalls >= 0 and max_recall_overdue_days >= 0
    ),
    add constraint patron_limits_block_known_actions check (
        max_loans_blocks between 0 and 7 and max_overdue_blocks between 0 and 7
        and max_lost_blocks between 0 and 7 and max_balance_blocks between 0 and 7
        and max_overdue_recalls_blocks between 0 and 7 and max_recall_overdue_days_blocks between 0 and 7
    );

-- How long a patron's recalled loans have been due; few loans are recalled.
create index loan_recalled on loan (patron_id, due_at)
    where checked_in_at is null and recalled_at is not null;
