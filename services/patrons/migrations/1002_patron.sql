-- Patron accounts. Names and contact data stand here and nowhere else.
create table patron (
    id uuid not null,
    -- Null where none was issued.
    barcode text,
    -- What other services find the patron by; HMAC-SHA-256 of the barcode.
    barcode_hmac bytea,
    username text,
    patron_group text collate "C" not null,
    last_name text not null,
    first_name text not null,
    middle_name text not null,
    email text not null,
    phone text not null,
    home_library text not null,
    affiliation text not null,
    student_id text not null,
    -- The roster's key; null for patrons added at the desk.
    source text,
    external_id text,
    enrollment_date date,
    expiration_date date,
    active boolean not null,
    revision bigint not null,
    -- Names as they are searched: case, accents and apostrophes folded by the
    -- service. The collation makes "begins with" a range of the index.
    last_name_key text collate "C" not null,
    first_name_key text collate "C" not null,
    -- In lower case: sign-in names that differ in case only are one name.
    username_key text collate "C",
    constraint patron_pkey primary key (id),
    -- Deferrable, so that a roster's one statement may hand a barcode from one
    -- patron to another; checked when the statement ends.
    constraint patron_barcode_key unique (barcode) deferrable initially immediate,
    constraint patron_barcode_hmac_key unique (barcode_hmac) deferrable initially immediate,
    constraint patron_username_key unique (username_key) deferrable initially immediate,
    constraint patron_external_id_key unique (source, external_id),
    constraint patron_group_exists foreign key (patron_group) references patron_group (code),
    constraint patron_barcode_has_hmac check ((barcode is null) = (barcode_hmac is null)),
    constraint patron_barcode_hmac_is_sha256 check (octet_length(barcode_hmac) = 32),
    constraint patron_username_has_key check ((username is null) = (username_key is null)),
    constraint patron_source_has_external_id check ((source is null) = (external_id is null)),
    constraint patron_has_last_name check (last_name <> ''),
    constraint patron_revision_is_positive check (revision > 0)
);

create index patron_last_name_prefix on patron (last_name_key);
create index patron_first_name_prefix on patron (first_name_key);
create index patron_by_group on patron (patron_group, id);
