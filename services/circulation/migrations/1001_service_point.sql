-- Where loans and returns happen, and when somebody is there.
create table service_point (
    id uuid not null,
    code text not null,
    name text not null,
    library_code text not null,
    institution_code text not null,
    -- An IANA name.
    time_zone text not null,
    -- Rises with each change of the hours, so that what is kept in memory of
    -- them is known to be theirs.
    hours_revision bigint not null default 0,
    created_at timestamptz not null,
    constraint service_point_pkey primary key (id),
    constraint service_point_code_key unique (code)
);

create table weekly_hours (
    service_point_id uuid not null,
    -- The order in which they were given.
    place smallint not null,
    -- 1 is Monday (ISO 8601).
    day smallint not null,
    -- Minutes after midnight; closes at or before opens is on the next day.
    opens smallint not null,
    closes smallint not null,
    constraint weekly_hours_pkey primary key (service_point_id, place),
    constraint weekly_hours_service_point_exists foreign key (service_point_id) references service_point (id),
    constraint weekly_hours_day_is_iso check (day between 1 and 7),
    constraint weekly_hours_are_of_a_day check (opens between 0 and 1439 and closes between 0 and 1440)
);

create table hours_exception (
    service_point_id uuid not null,
    place smallint not null,
    first_date date not null,
    last_date date not null,
    reason text not null,
    opens smallint,
    closes smallint,
    constraint hours_exception_pkey primary key (service_point_id, place),
    constraint hours_exception_service_point_exists foreign key (service_point_id) references service_point (id),
    constraint hours_exception_ends_after_it_begins check (first_date <= last_date),
    constraint hours_exception_hours_are_whole check ((opens is null) = (closes is null)),
    constraint hours_exception_hours_are_of_a_day check (opens between 0 and 1439 and closes between 0 and 1440)
);
