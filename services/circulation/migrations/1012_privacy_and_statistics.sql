-- Ageing that several share, loans without their patron, and statistics.

-- A run of ageing that somebody asked for, with what it did so far: counted in
-- the transactions that did it, so that a repeated request gets the same
-- answer.
create table ageing_run (
    id uuid not null,
    overdue_count bigint not null default 0,
    aged_to_lost_count bigint not null default 0,
    lost_and_paid_count bigint not null default 0,
    anonymised_count bigint not null default 0,
    finished_at timestamptz,
    constraint ageing_run_pkey primary key (id)
);

-- How confidential loans are kept: one row.
create table privacy_settings (
    singleton boolean not null default true,
    -- Days after its end for which a loan keeps its patron though nothing is
    -- owed.
    cut_after_days integer not null default 0,
    constraint privacy_settings_pkey primary key (singleton),
    constraint privacy_settings_is_one_row check (singleton),
    constraint privacy_settings_cut_after_is_a_year_at_most check (cut_after_days between 0 and 365)
);
insert into privacy_settings default values;

alter table loan
    -- Charges that billing makes for it. Its patron stays until billing has
    -- told of as many.
    add column expected_charges integer not null default 0,
    -- Why an ended loan keeps its patron: 0 to be looked at, 1 something is
    -- owed, 2 the patron asked to have it kept.
    add column kept_for smallint not null default 0,
    -- What is lost and paid for ends without a return.
    drop constraint loan_returned_somewhere,
    add constraint loan_returned_somewhere
        check (check_in_service_point_id is null or checked_in_at is not null),
    add constraint loan_kept_for_is_known check (kept_for between 0 and 2),
    add constraint loan_expected_charges_are_not_negative check (expected_charges >= 0);
update loan set expected_charges = (loss_id is not null)::integer
    + (select count(*) from loan_action where loan_id = loan.id and fine is not null);

-- Whose patron may be cut.
create index loan_to_anonymise on loan (checked_in_at)
    where checked_in_at is not null and patron_id is not null and kept_for = 0;
create index loan_kept_as_history on loan (patron_id) where kept_for = 2;

-- From billing: whether anything is owed for a loan. No amounts, no patron.
create table loan_charge_projection (
    account_id uuid not null,
    loan_id uuid not null,
    open boolean not null,
    -- That it was the lost item fee and is paid, until its loan was ended for
    -- it.
    ends_loan boolean not null,
    generation bigint not null,
    revision bigint not null,
    constraint loan_charge_projection_pkey primary key (account_id)
) with (fillfactor = 80);
create index loan_charge_projection_loan on loan_charge_projection (loan_id);
create index loan_charge_projection_ends_loan on loan_charge_projection (loan_id) where ends_loan;

-- What statistics count, by when it happened.
create index loan_checked_out_at on loan (checked_out_at);
create index loan_action_renewed on loan_action (occurred_at) where action in (3, 4);
create index check_in_used_in_house on check_in (occurred_at) where in_house_use;
drop index check_in_in_house_use;

-- Closed requests lose their patron, too; whether that was looked at and the
-- patron asked to have it kept.
alter table patron_request
    add column kept_as_history boolean not null default false;
create index patron_request_to_anonymise on patron_request (closed_at)
    where closed_at is not null and patron_id is not null and not kept_as_history;
create index patron_request_kept_as_history on patron_request (patron_id) where kept_as_history;
