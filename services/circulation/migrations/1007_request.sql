-- Requests: holds, recalls and pages, in one queue for each title.

alter table service_point
    -- Whether requests are picked up there, and how long they wait.
    add column pickup_location boolean not null default false,
    add column hold_shelf_period jsonb,
    add constraint service_point_pickup_has_period
        check (not pickup_location or hold_shelf_period is not null);

alter table policy
    drop constraint policy_kind_is_known,
    add constraint policy_kind_is_known
        check (kind in ('loan', 'overdue_fine', 'lost_item', 'request'));

-- A title's queue, and the lock of everything that happens in it. It is taken
-- after items and patrons.
create table request_queue (
    record_id uuid not null,
    -- The place that was drawn last.
    last_place bigint not null default 0,
    -- Rises with each change of who waits and in which order.
    revision bigint not null default 0,
    constraint request_queue_pkey primary key (record_id)
);

-- (Ids of calls are in the table "request".)
create table patron_request (
    id uuid not null,
    record_id uuid not null,
    -- The item that was asked for, at level item.
    item_id uuid,
    -- The numbers in carrel.circulation.v1.
    type smallint not null,
    level smallint not null,
    status smallint not null default 1,
    -- Null once the link was cut.
    patron_id uuid,
    fulfilment smallint not null,
    pickup_service_point_id uuid,
    -- Drawn under the queue's lock, so that it rises in commit order.
    place bigint not null,
    -- The copy that is kept for it or filled it.
    held_item_id uuid,
    requested_at timestamptz not null,
    expires_at timestamptz,
    hold_shelf_expires_at timestamptz,
    suspended_from timestamptz,
    suspended_until timestamptz,
    -- Cut together with the patron.
    patron_comment text not null default '',
    recalled_loan_id uuid,
    -- The line that applied and the version that it was made under.
    applied_rule jsonb not null,
    request_policy_id uuid not null,
    request_policy_code text not null,
    -- What statistics keep for good.
    institution_code text not null,
    campus_code text not null,
    library_code text not null,
    location_code text not null,
    patron_group text not null,
    material_type text not null,
    loan_type text not null,
    call_number_class text not null,
    category smallint not null,
    closed_at timestamptz,
    cancellation_reason text not null default '',
    cancelled_by_patron boolean not null default false,
    -- What was overridden when it was placed, by whom and why.
    overridden jsonb not null default '[]',
    override_comment text not null default '',
    placed_by text not null,
    revision bigint not null default 1,
    constraint patron_request_pkey primary key (id),
    constraint patron_request_queue_exists foreign key (record_id) references request_queue (record_id),
    constraint patron_request_pickup_exists foreign key (pickup_service_point_id) references service_point (id),
    constraint patron_request_policy_exists foreign key (request_policy_id) references policy (id),
    constraint patron_request_loan_exists foreign key (recalled_loan_id) references loan (id),
    constraint patron_request_open_has_patron check (closed_at is not null or patron_id is not null),
    constraint patron_request_is_closed_at_a_time check ((closed_at is null) = (status in (1, 2, 3, 4))),
    constraint patron_request_in_fulfilment_has_item check (status not in (2, 3, 4) or held_item_id is not null),
    constraint patron_request_item_level_names_item check ((level = 1) = (item_id is not null)),
    constraint patron_request_is_picked_up_or_delivered
        check ((fulfilment = 1) = (pickup_service_point_id is not null)),
    constraint patron_request_suspension_is_whole
        check (suspended_until is null or suspended_from < suspended_until),
    constraint patron_request_comment_is_bounded check (char_length(patron_comment) <= 500),
    constraint patron_request_override_has_comment check (overridden = '[]' or override_comment <> '')
) with (fillfactor = 85);

-- One place in the queue, and one open request of a patron for a title.
create unique index patron_request_place_key on patron_request (record_id, place);
create unique index patron_request_open_key on patron_request (patron_id, record_id) where closed_at is null;
-- An open request has at most one copy, and a copy at most one open request.
create unique index patron_request_held_item_key on patron_request (held_item_id)
    where closed_at is null and held_item_id is not null;
create index patron_request_queue on patron_request (record_id, place) where closed_at is null;
create index patron_request_patron on patron_request (patron_id, id desc) where patron_id is not null;
create index patron_request_record on patron_request (record_id, id desc);
create index patron_request_item on patron_request (item_id, id desc) where item_id is not null;
create index patron_request_held_item on patron_request (held_item_id, id desc) where held_item_id is not null;
create index patron_request_pickup on patron_request (pickup_service_point_id, id desc)
    where pickup_service_point_id is not null;
-- What expires next, in the queue and on the hold shelf.
create index patron_request_expiring on patron_request (expires_at)
    where status = 1 and expires_at is not null;
create index patron_request_pickup_expiring on patron_request (hold_shelf_expires_at) where status = 2;

-- Hold shelves and pick lists.
create index item_circulation_kept on item_circulation (status, item_id) where status in (6, 8);
