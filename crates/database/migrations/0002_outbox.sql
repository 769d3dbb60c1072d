-- The outbox, the feed's head, and the cursors of the feeds that are followed.

-- CACHE 1 (the default, said because order rests on it): a connection that
-- drew several positions at once would hand them out late.
create sequence outbox_position as bigint cache 1;

-- What became true, written by the last statement of the transaction that
-- made it true.
create table outbox (
    -- The transaction must have its id before it draws a position: the
    -- sequencer reasons from ids to positions. CASE fixes that order.
    position bigint not null default (
        case when pg_current_xact_id() is not null then nextval('outbox_position') end
    ),
    event_id uuid not null,
    type text not null,
    subject_id uuid not null,
    payload bytea not null,
    trace_parent text,
    occurred_at timestamptz not null,
    -- Given by the sequencer. Readers see numbered rows only.
    number bigint,
    constraint outbox_pkey primary key (position),
    constraint outbox_event_id_key unique (event_id),
    constraint outbox_number_is_positive check (number > 0),
    constraint outbox_type_is_short check (octet_length(type) between 1 and 200),
    constraint outbox_payload_is_small check (octet_length(payload) <= 1048576),
    constraint outbox_trace_parent_is_short check (octet_length(trace_parent) <= 128)
);

alter sequence outbox_position owned by outbox.position;

-- Partial, so that an insert has nothing to do here.
create unique index outbox_number_key on outbox (number) where number is not null;

create function outbox_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'an event in the outbox never changes'
        using errcode = 'integrity_constraint_violation', constraint = 'outbox_is_immutable';
end
$$;

-- Two triggers that cost the sequencer nothing but a comparison: the first
-- fires on other columns only, the second on a number that was given already.
create trigger outbox_is_immutable
    before update of position, event_id, type, subject_id, payload, trace_parent, occurred_at on outbox
    for each statement execute function outbox_refuse_change();

create trigger outbox_is_numbered_once
    before update of number on outbox
    for each row when (old.number is not null) execute function outbox_refuse_change();

-- Where the feed stands: one row.
create table feed_head (
    singleton boolean not null default true,
    -- A new one begins where the feed may have taken another course.
    epoch uuid not null,
    -- Which database this is, to notice a restored or copied one; null until
    -- a service starts on it.
    fingerprint text,
    -- The last number given, and the event that has it.
    number bigint not null default 0,
    event_id uuid,
    -- Every transaction that drew a position up to here has ended, and its
    -- events are numbered.
    floor bigint not null default 0,
    -- The floor to be, once every transaction before this one has ended.
    candidate_floor bigint,
    candidate_xid xid8,
    -- The last number that was deleted for its age, and the event that had it.
    forgotten_number bigint not null default 0,
    forgotten_event_id uuid,
    constraint feed_head_pkey primary key (singleton),
    constraint feed_head_is_one_row check (singleton),
    constraint feed_head_number_has_event check ((number = 0) = (event_id is null)),
    constraint feed_head_forgotten_number_has_event check ((forgotten_number = 0) = (forgotten_event_id is null)),
    constraint feed_head_forgets_numbered_events check (forgotten_number between 0 and number),
    constraint feed_head_candidate_is_whole check ((candidate_floor is null) = (candidate_xid is null))
) with (fillfactor = 50);

insert into feed_head (epoch) values (gen_random_uuid());

-- How far this service has come in the feeds of others.
create table feed_cursor (
    -- The owner's name, such as "catalog".
    feed text not null,
    -- Rises with each reading of the owner's state; see carrel-outbox.
    generation bigint not null default 0,
    -- The projection's edition that this generation is made by; 0 before the first.
    edition bigint not null default 0,
    -- The last event taken; no epoch: nothing was taken yet.
    epoch uuid,
    number bigint not null default 0,
    event_id uuid,
    -- While the owner's state is read anew: the head that was noted before,
    -- and the page that comes next ('' is the first).
    rebuild_epoch uuid,
    rebuild_number bigint,
    rebuild_event_id uuid,
    rebuild_page_token text,
    -- The event that can't be applied (an encoded carrel.events.v1.Event).
    poison_event bytea,
    poison_cause text,
    -- Events that were gone before they could be taken.
    lost_count bigint not null default 0,
    constraint feed_cursor_pkey primary key (feed),
    constraint feed_cursor_rebuild_is_whole check (
        (rebuild_epoch is null) = (rebuild_number is null)
        and (rebuild_epoch is null) = (rebuild_page_token is null)
    ),
    constraint feed_cursor_poison_has_cause check ((poison_event is null) = (poison_cause is null))
) with (fillfactor = 50);

-- Events set aside by an operator, with the later ones of the same subject.
create table parked_event (
    feed text not null,
    -- The order in which they came and will be applied.
    place bigint generated always as identity,
    event_id uuid not null,
    type text not null,
    subject_id uuid not null,
    number bigint not null,
    -- An encoded carrel.events.v1.Event.
    event bytea not null,
    -- Empty where it only follows another event of its subject.
    cause text not null,
    parked_at timestamptz not null,
    constraint parked_event_pkey primary key (feed, event_id),
    constraint parked_event_feed_is_followed foreign key (feed) references feed_cursor (feed)
);

create index parked_event_subject on parked_event (feed, subject_id, place);
create index parked_event_place on parked_event (feed, place);
