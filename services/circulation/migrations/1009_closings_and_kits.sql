-- Emergency closings, and the parts that belong to equipment.

-- A closing out of turn. Calendars have it at once; due dates are moved in
-- batches, which whoever is free goes on with.
create table closing (
    id uuid not null,
    closed_from timestamptz not null,
    -- Whole, in each service point's time zone.
    last_date date not null,
    reason text not null,
    created_at timestamptz not null,
    created_by text not null,
    -- When nothing was left to be moved; null: it goes on.
    finished_at timestamptz,
    constraint closing_pkey primary key (id),
    constraint closing_says_why check (reason <> '')
);

create index closing_unfinished on closing (id) where finished_at is null;

-- The closing as the calendar of one service point has it.
create table closing_service_point (
    closing_id uuid not null,
    service_point_id uuid not null,
    closed_from timestamptz not null,
    closed_until timestamptz not null,
    constraint closing_service_point_pkey primary key (closing_id, service_point_id),
    constraint closing_service_point_closing_exists foreign key (closing_id) references closing (id),
    constraint closing_service_point_exists foreign key (service_point_id) references service_point (id),
    constraint closing_ends_after_it_begins check (closed_from < closed_until)
);

create index closing_service_point_of on closing_service_point (service_point_id);

-- What a closing does to one loan, once.
create table closing_move (
    closing_id uuid not null,
    loan_id uuid not null,
    due_at timestamptz not null,
    -- Null: it stays.
    new_due_at timestamptz,
    -- Null: to be done.
    outcome text,
    constraint closing_move_pkey primary key (closing_id, loan_id),
    constraint closing_move_closing_exists foreign key (closing_id) references closing (id),
    constraint closing_move_loan_exists foreign key (loan_id) references loan (id),
    constraint closing_move_outcome_is_known check (outcome in ('moved', 'passed_over', 'kept')),
    constraint closing_move_kept_does_not_move check ((new_due_at is null) = (outcome is not distinct from 'kept')),
    constraint closing_move_goes_on check (new_due_at > due_at)
);

create index closing_move_to_do on closing_move (closing_id) where outcome is null;

-- What falls due where it was lent.
create index loan_due_at_service_point on loan (check_out_service_point_id, due_at)
    where checked_in_at is null;

-- The parts that belong to an item and are checked when it comes back.
create table item_kit_part (
    item_id uuid not null,
    -- The order in which they were given.
    place smallint not null,
    name text not null,
    count integer not null,
    price numeric(14, 2),
    price_currency text,
    constraint item_kit_part_pkey primary key (item_id, place),
    constraint item_kit_part_item_exists foreign key (item_id) references item_circulation (item_id),
    constraint item_kit_part_name_key unique (item_id, name),
    constraint item_kit_part_count_is_positive check (count > 0),
    constraint item_kit_part_price_has_currency check ((price is null) = (price_currency is null))
);

-- That an item came back damaged or incomplete; never whose fault it was: the
-- loan says that for as long as it may.
create table item_damage (
    id uuid not null,
    loan_id uuid not null,
    item_id uuid not null,
    service_point_id uuid not null,
    -- [{name, count}]
    missing_parts jsonb not null,
    damaged boolean not null,
    comment text not null,
    fee numeric(14, 2),
    fee_currency text,
    reported_at timestamptz not null,
    reported_by text not null,
    constraint item_damage_pkey primary key (id),
    constraint item_damage_loan_key unique (loan_id),
    constraint item_damage_loan_exists foreign key (loan_id) references loan (id),
    constraint item_damage_service_point_exists foreign key (service_point_id) references service_point (id),
    constraint item_damage_fee_has_currency check ((fee is null) = (fee_currency is null)),
    constraint item_damage_says_what check (damaged or missing_parts <> '[]')
);

create index item_damage_item on item_damage (item_id, id desc);
