-- What budget codes look like. A structure is replaced as a whole, and the
-- ones before it stay: codes that are booked were valid under one of them.

create table budget_code_structure (
    id uuid not null,
    -- The one with the greatest number holds.
    number bigint generated always as identity,
    -- Separator, segments with their values, and combinations.
    definition jsonb not null,
    set_by text not null,
    set_at timestamptz not null,
    constraint budget_code_structure_pkey primary key (id),
    constraint budget_code_structure_number_key unique (number)
);
