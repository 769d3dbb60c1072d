-- Where charges go in the student-information system.
create table posting_route (
    id uuid not null,
    -- '': any college without a route of its own.
    institution_code text not null,
    kind text not null,
    funding_destination_id text not null,
    constraint posting_route_pkey primary key (id),
    constraint posting_route_key unique (institution_code, kind)
);

create table academic_period (
    -- The student-information system's id.
    id text not null,
    -- Ours, for the record of requests.
    row_id uuid not null,
    code text not null,
    first_date date not null,
    last_date date not null,
    constraint academic_period_pkey primary key (id),
    constraint academic_period_row_key unique (row_id),
    constraint academic_period_is_not_empty check (first_date <= last_date),
    -- A charge's date is in one period at the most.
    constraint academic_period_does_not_overlap
        exclude using gist (daterange(first_date, last_date, '[]') with &&)
);

-- Charges and credits on their way to the student account. A posting changes
-- only under its account's row lock.
create table posting (
    -- UUIDv5 of the charge (its fine or loss, else its account) and the sequence.
    id uuid not null,
    account_id uuid not null,
    sequence integer not null,
    reference text not null,
    -- Fixed when submitted; negative for a credit.
    amount numeric(14, 2) not null,
    currency text not null,
    state text not null,
    reverses_posting_id uuid,
    student_id text not null,
    funding_destination_id text not null,
    academic_period_id text not null,
    -- Set when submitted.
    chargeable_on date,
    sis_charge_id text,
    attempt_count integer not null default 0,
    -- The attempt that is under way or whose answer is lost.
    open_attempt_id uuid,
    -- Until when the worker that submitted it may hear an answer.
    leased_until timestamptz,
    -- When it is looked at again; while its answer is unknown or it waits.
    next_attempt_at timestamptz not null,
    -- From when a look-up that finds nothing proves that the SIS never took it.
    absent_from timestamptz,
    problem text not null default '',
    -- The epoch under which it was last looked up for a restore's sake.
    looked_up_epoch uuid,
    -- How a settlement was matched; '' where there is none.
    settlement_basis text not null default '',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint posting_pkey primary key (id),
    constraint posting_account_sequence_key unique (account_id, sequence),
    constraint posting_reference_key unique (reference),
    constraint posting_sis_charge_key unique (sis_charge_id),
    constraint posting_has_account foreign key (account_id) references account (id),
    constraint posting_reverses_one foreign key (reverses_posting_id) references posting (id),
    constraint posting_state_is_known check (
        state in ('pending', 'submitted', 'acknowledged', 'rejected', 'unknown', 'settled', 'unrouted', 'cancelled')
    ),
    constraint posting_credit_names_its_original check ((amount < 0) = (reverses_posting_id is not null)),
    constraint posting_is_not_zero check (amount <> 0),
    constraint posting_acknowledged_has_sis_id check (
        (state in ('acknowledged', 'settled')) = (sis_charge_id is not null)
    ),
    constraint posting_under_way_has_attempt check (
        (state in ('submitted', 'unknown')) = (open_attempt_id is not null)
    )
) with (fillfactor = 70);

-- One at a time for each account: the next waits until this one is known.
create unique index posting_account_open_key on posting (account_id)
    where state in ('pending', 'submitted', 'unknown', 'rejected', 'unrouted');
create index posting_queue on posting (state, next_attempt_at)
    where state in ('pending', 'submitted', 'unknown');
create index posting_state on posting (state, created_at, id);
create index posting_created on posting (created_at, id);

create table posting_attempt (
    id uuid not null,
    posting_id uuid not null,
    kind text not null,
    started_at timestamptz not null,
    ended_at timestamptz,
    outcome text not null default '',
    detail text not null default '',
    constraint posting_attempt_pkey primary key (id),
    constraint posting_attempt_has_posting foreign key (posting_id) references posting (id),
    constraint posting_attempt_kind_is_known check (kind in ('submit', 'look-up'))
);

create index posting_attempt_posting on posting_attempt (posting_id, id);

-- Whether these books are the ones that posted last: one row. A restored
-- database may have forgotten what it had posted.
create table posting_trust (
    singleton boolean not null default true,
    -- The feed's epoch as of the last round; another one: it was restored.
    epoch uuid not null,
    -- Charges from before it may be posted already, whatever the books say;
    -- null where the database was never restored. By the service's clock.
    since timestamptz,
    -- The same moment by the machine's clock.
    noticed_at timestamptz,
    constraint posting_trust_pkey primary key (singleton),
    constraint posting_trust_is_one_row check (singleton),
    constraint posting_trust_is_whole check ((since is null) = (noticed_at is null))
);
