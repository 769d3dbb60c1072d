-- Loads of records: how far each has come.
create table import (
    id uuid not null,
    source text not null,
    load_profile text not null,
    -- As asked for; null: to be found out.
    asked_encoding text,
    -- As found; null until the first bytes were seen.
    encoding text,
    -- What a reader that goes on at committed_offset has to know of the bytes
    -- before it: the encoding an XML declaration named, and whether the place
    -- is inside of something that can't be read.
    resume_form text,
    resume_inside text not null default 'nothing',
    committed_offset bigint not null default 0,
    read_count bigint not null default 0,
    created_count bigint not null default 0,
    updated_count bigint not null default 0,
    quarantined_count bigint not null default 0,
    item_count bigint not null default 0,
    item_problem_count bigint not null default 0,
    record_bytes bigint not null default 0,
    quarantined_bytes bigint not null default 0,
    separator_bytes bigint not null default 0,
    finished boolean not null default false,
    -- The stream that feeds it, and until when it is believed to be alive.
    holder uuid,
    held_until timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint import_pkey primary key (id),
    constraint import_encoding_is_known check (encoding in ('iso2709', 'marcxml')),
    constraint import_resume_inside_is_known check (resume_inside in ('nothing', 'utf16', 'oversize')),
    constraint import_bytes_add_up check (record_bytes + quarantined_bytes + separator_bytes = committed_offset),
    constraint import_records_add_up check (created_count + updated_count = read_count),
    constraint import_held_is_whole check ((holder is null) = (held_until is null)),
    constraint import_finished_is_free check (not finished or holder is null)
);

-- Pieces of files that could not be read, with their bytes.
create table quarantined_record (
    id uuid not null,
    import_id uuid not null,
    file_offset bigint not null,
    reason text not null,
    description text not null,
    raw bytea not null,
    created_at timestamptz not null,
    constraint quarantined_record_pkey primary key (id),
    constraint quarantined_record_once_key unique (import_id, file_offset),
    constraint quarantined_record_import_exists foreign key (import_id) references import (id)
);

create index quarantined_record_import on quarantined_record (import_id, id);
