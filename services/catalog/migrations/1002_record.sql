-- Records: the bytes as they came, and beside them what is searched.
create table record (
    id uuid not null,
    -- What the record is: bibliographic, authority, holdings or other. Numbers
    -- of different kinds mean different things even within one system.
    kind text not null,
    -- 001, and 003: whose number it is. Where 003 is missing, the number means
    -- something only within the source it was loaded from.
    control_number text,
    control_agency text not null default '',
    control_source text not null default '',
    raw bytea not null,
    -- How to read `raw`: a form's name of carrel-marc.
    raw_form text not null,
    title text not null,
    contributors text[] not null,
    identifiers text[] not null,
    subjects text[] not null,
    language text not null,
    publication_year smallint,
    format text not null,
    warnings text[] not null,
    -- Words without case and diacritics; A title, B contributors, C subjects.
    words tsvector not null,
    -- Where its bytes came from last.
    import_id uuid not null,
    import_offset bigint not null,
    revision bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint record_pkey primary key (id),
    -- The number leads, so that it can also be looked up alone.
    constraint record_control_number_key unique (control_number, control_agency, control_source, kind),
    constraint record_kind_is_known check (kind in ('bibliographic', 'authority', 'holdings', 'other')),
    constraint record_year_is_plausible check (publication_year between 1 and 9999)
);

create index record_words on record using gin (words);
-- No pending list: an identifier is looked up at the desk while loads run.
create index record_identifiers on record using gin (identifiers) with (fastupdate = off);
