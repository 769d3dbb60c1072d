-- Circulation's own: what is out.

-- What circulation itself knows of an item, and the lock of everything that
-- happens to it. Made when catalog's item is first learnt of. Apart from the
-- projection, so that the desk and the feed never wait for each other.
create table item_circulation (
    item_id uuid not null,
    open_loan_id uuid,
    -- The number in carrel.circulation.v1.CirculationItemStatus.
    status smallint not null default 1,
    -- 0: never dealt with.
    revision bigint not null default 0,
    constraint item_circulation_pkey primary key (item_id),
    constraint item_circulation_is_out_with_a_loan check ((open_loan_id is null) = (status = 1))
) with (fillfactor = 80);

-- A patron's counters, and the lock of everything that changes them. Limits
-- are held against these on the locked row, never against a count: a count in
-- the statement that waited for the lock would see what was there before.
create table patron_circulation (
    patron_id uuid not null,
    open_loans integer not null default 0,
    overdue_loans integer not null default 0,
    lost_loans integer not null default 0,
    -- Open loans by the code of their loan policy; none at zero.
    loans_by_policy jsonb not null default '{}',
    constraint patron_circulation_pkey primary key (patron_id),
    constraint patron_circulation_counts_are_sound check (
        open_loans >= 0 and overdue_loans >= 0 and lost_loans >= 0
        and overdue_loans + lost_loans <= open_loans
    )
) with (fillfactor = 80);

create table loan (
    id uuid not null,
    item_id uuid not null,
    -- Null once the link was cut.
    patron_id uuid,
    -- The number in carrel.circulation.v1.LoanAction.
    action smallint not null,
    checked_out_at timestamptz not null,
    due_at timestamptz not null,
    checked_in_at timestamptz,
    renewal_count integer not null default 0,
    check_out_service_point_id uuid not null,
    check_in_service_point_id uuid,
    -- The line that applied, as it was read then.
    applied_rule jsonb not null,
    -- The versions it was made under.
    loan_policy_id uuid not null,
    overdue_fine_policy_id uuid not null,
    lost_item_policy_id uuid not null,
    -- To whom a fine or fee is owed: the item's library and college.
    library_code text not null,
    institution_code text not null,
    overdue_since timestamptz,
    -- When it is to be aged to lost; null: never.
    lost_due_at timestamptz,
    aged_to_lost_at timestamptz,
    -- The id under which the loss's charges are made once.
    loss_id uuid,
    -- What was fined so far, held against the policy's maximum.
    fined numeric(14, 2),
    fined_currency text,
    revision bigint not null default 1,
    constraint loan_pkey primary key (id),
    constraint loan_check_out_service_point_exists foreign key (check_out_service_point_id) references service_point (id),
    constraint loan_check_in_service_point_exists foreign key (check_in_service_point_id) references service_point (id),
    constraint loan_policy_exists foreign key (loan_policy_id) references policy (id),
    constraint loan_overdue_fine_policy_exists foreign key (overdue_fine_policy_id) references policy (id),
    constraint loan_lost_item_policy_exists foreign key (lost_item_policy_id) references policy (id),
    constraint loan_open_has_patron check (checked_in_at is not null or patron_id is not null),
    constraint loan_is_due_after_check_out check (due_at > checked_out_at),
    constraint loan_ends_after_check_out check (checked_in_at >= checked_out_at),
    constraint loan_returned_somewhere check ((checked_in_at is null) = (check_in_service_point_id is null)),
    constraint loan_loss_has_id check ((aged_to_lost_at is null) = (loss_id is null)),
    constraint loan_fined_has_currency check ((fined is null) = (fined_currency is null))
) with (fillfactor = 90);

-- At most one open loan per item, whatever the code does.
create unique index loan_open_item_key on loan (item_id) where checked_in_at is null;
create index loan_patron on loan (patron_id, id desc) where patron_id is not null;
create index loan_item on loan (item_id, id desc);
-- What is to be aged next.
create index loan_becoming_overdue on loan (due_at) where checked_in_at is null and overdue_since is null;
create index loan_becoming_lost on loan (lost_due_at)
    where checked_in_at is null and aged_to_lost_at is null and lost_due_at is not null;

alter table item_circulation
    add constraint item_circulation_open_loan_exists
    foreign key (open_loan_id) references loan (id);

-- What was done to a loan, by whom, and why.
create table loan_action (
    id uuid not null,
    loan_id uuid not null,
    action smallint not null,
    -- The token's subject, or "service:circulation" for what runs by itself.
    actor text not null,
    occurred_at timestamptz not null,
    -- When it was told, which is later where it was noted offline.
    recorded_at timestamptz not null,
    service_point_id uuid,
    comment text not null default '',
    -- The blocks that were overridden: [{reason, description}].
    overridden jsonb not null default '[]',
    -- The fine that it incurred.
    fine numeric(14, 2),
    fine_currency text,
    constraint loan_action_pkey primary key (id),
    constraint loan_action_loan_exists foreign key (loan_id) references loan (id),
    constraint loan_action_fine_has_currency check ((fine is null) = (fine_currency is null)),
    constraint loan_action_override_has_comment check (overridden = '[]' or comment <> '')
);

create index loan_action_loan on loan_action (loan_id, id);

-- Each time an item came over a desk. Without a loan it was used in house:
-- that is counted, and no patron is known.
create table check_in (
    id uuid not null,
    item_id uuid not null,
    loan_id uuid,
    service_point_id uuid not null,
    occurred_at timestamptz not null,
    -- The number in carrel.circulation.v1.NextStep.
    next_step smallint not null,
    destination_library_code text not null,
    in_house_use boolean not null,
    constraint check_in_pkey primary key (id),
    constraint check_in_loan_exists foreign key (loan_id) references loan (id),
    constraint check_in_service_point_exists foreign key (service_point_id) references service_point (id),
    constraint check_in_of_a_loan_is_no_in_house_use check (not (in_house_use and loan_id is not null))
);

create index check_in_in_house_use on check_in (service_point_id, occurred_at) where in_house_use;
