-- Loads of patrons that were kept, for the answer to a repeated request.
create table roster_load (
    id uuid not null,
    loaded_at timestamptz not null,
    loaded_by text not null,
    read_count bigint not null,
    created_count bigint not null,
    updated_count bigint not null,
    unchanged_count bigint not null,
    failed_count bigint not null,
    deactivated_count bigint not null,
    constraint roster_load_pkey primary key (id),
    constraint roster_load_counts_add_up
        check (read_count = created_count + updated_count + unchanged_count + failed_count)
);

-- The rows that a load refused, without their values.
create table roster_problem (
    load_id uuid not null,
    line bigint not null,
    column_name text not null,
    reason text not null,
    description text not null,
    constraint roster_problem_load_exists foreign key (load_id) references roster_load (id)
);

create index roster_problem_by_load on roster_problem (load_id, line);

-- Rows of loads that are being received. A load is applied by one transaction
-- that begins when the whole file is here, so that a slow sender holds neither
-- locks nor a snapshot. Unlogged: after a crash of the server the file is sent
-- again, and a load whose rows are gone is refused.
create unlogged table roster_row (
    load_id uuid not null,
    -- The row's place in the file.
    number bigint not null,
    line bigint not null,
    source text not null,
    external_id text not null,
    -- What the row says, as the service writes it (JSON).
    content bytea not null,
    staged_at timestamptz not null,
    constraint roster_row_pkey primary key (load_id, number),
    constraint roster_row_once unique (load_id, source, external_id)
);

create index roster_row_staged_at on roster_row (staged_at);
