-- What a whole desk needs beside check-out, check-in and renewal.

-- The title an item belongs to, and what statistics keep of it. Filled when
-- the projection is read anew (its edition rose with this migration).
alter table item_projection
    add column record_id uuid,
    add column call_number_class text not null default '';
create index item_projection_record on item_projection (record_id);

alter table patron_projection
    -- Whether the patron asked to have their reading history kept.
    add column keeps_history boolean not null default false;

alter table block_projection
    add column blocks_requests boolean not null default false;

-- Where an item is that is not out, and for whom.
alter table item_circulation
    drop constraint item_circulation_is_out_with_a_loan,
    -- That there may be requests which this item could fill. Whoever places a
    -- request sets it under the lock of each of the title's items, so that no
    -- desk that holds an item's lock misses one; it may stay true for longer.
    add column requested boolean not null default false,
    -- The request that the item is kept, fetched or on its way for.
    add column held_request_id uuid,
    -- On its way to this service point for a request, or to this library.
    add column destination_service_point_id uuid,
    add column destination_library_code text not null default '',
    add column in_transit_since timestamptz,
    -- Who had it last and until when, only where the policy forbids them to
    -- take it again at once, and only for that long.
    add column last_patron_id uuid,
    add column last_returned_at timestamptz,
    add column reborrow_from timestamptz,
    -- Statuses 2 to 5 are of loans; 6, 8 and 11 of requests; 7 is in transit.
    add constraint item_circulation_is_out_with_a_loan
        check ((open_loan_id is not null) = (status in (2, 3, 4, 5))),
    add constraint item_circulation_is_kept_for_a_request
        check (held_request_id is null or status in (6, 7, 8, 11)),
    add constraint item_circulation_kept_names_a_request
        check (status not in (6, 8, 11) or held_request_id is not null),
    add constraint item_circulation_in_transit_goes_somewhere
        check ((status = 7) = (destination_library_code <> '')),
    add constraint item_circulation_reborrowing_is_whole check (
        (last_patron_id is null) = (last_returned_at is null)
        and (last_patron_id is null) = (reborrow_from is null));

create index item_circulation_forget_borrower on item_circulation (reborrow_from)
    where reborrow_from is not null;
create index item_circulation_in_transit on item_circulation (destination_library_code, item_id)
    where status = 7;

-- Open loans by kind: "l:" and the loan policy's code, "m:" and the material
-- type, "t:" and the loan type; none at zero.
alter table patron_circulation rename column loans_by_policy to loans_by_kind;
update patron_circulation set loans_by_kind = (
    select coalesce(jsonb_object_agg('l:' || key, value), '{}') from jsonb_each(loans_by_kind));
alter table patron_circulation
    -- Of the overdue loans, those that somebody recalled.
    add column overdue_recalls integer not null default 0,
    add column open_requests integer not null default 0,
    drop constraint patron_circulation_counts_are_sound,
    add constraint patron_circulation_counts_are_sound check (
        open_loans >= 0 and overdue_loans >= 0 and lost_loans >= 0 and overdue_recalls >= 0
        and open_requests >= 0
        and overdue_loans + lost_loans <= open_loans and overdue_recalls <= overdue_loans
    );

-- Counts with some kinds counted up or down.
create function count_loans(counts jsonb, kinds text[], change integer) returns jsonb
language sql immutable as $$
    select coalesce(jsonb_object_agg(kind, count), '{}')
    from (
        select kind, sum(count) as count
        from (
            select key as kind, value::integer as count from jsonb_each_text(counts)
            union all select unnest(kinds), change
        ) counted
        group by kind having sum(count) > 0
    ) counted
$$;

alter table loan
    drop constraint loan_loss_has_id,
    -- Who stood at the desk for the patron.
    add column proxy_patron_id uuid,
    add column claimed_returned_at timestamptz,
    add column declared_lost_at timestamptz,
    -- Since when somebody waits for it, by a recall.
    add column recalled_at timestamptz,
    -- Only within the building.
    add column building_use boolean not null default false,
    -- The version of the borrowing agreement that was accepted; '': none.
    add column accepted_agreement text not null default '',
    -- What statistics keep for good, of the item and of the patron's group as
    -- they were at check-out; never who.
    add column campus_code text not null default '',
    add column location_code text not null default '',
    add column patron_group text not null default '',
    add column material_type text not null default '',
    add column loan_type text not null default '',
    add column call_number_class text not null default '',
    -- The number in carrel.circulation.v1.LoanCategory.
    add column category smallint not null default 1,
    add constraint loan_loss_has_id check (
        (loss_id is null) = (aged_to_lost_at is null and declared_lost_at is null)),
    add constraint loan_is_lost_one_way check (aged_to_lost_at is null or declared_lost_at is null);

drop index loan_becoming_lost;
-- What is claimed returned does not age.
create index loan_becoming_lost on loan (lost_due_at)
    where checked_in_at is null and loss_id is null and claimed_returned_at is null
        and lost_due_at is not null;

alter table check_in
    -- The request that the item goes to.
    add column request_id uuid,
    add column destination_service_point_id uuid,
    -- What statistics keep of a use in house.
    add column institution_code text not null default '',
    add column campus_code text not null default '',
    add column library_code text not null default '',
    add column location_code text not null default '',
    add column material_type text not null default '',
    add column loan_type text not null default '',
    add column call_number_class text not null default '';
