-- The circulation rules: every version is kept.
create table circulation_rules (
    id uuid not null,
    version integer not null,
    text text not null,
    effective_at timestamptz not null,
    author text not null,
    constraint circulation_rules_pkey primary key (id),
    constraint circulation_rules_version_key unique (version),
    constraint circulation_rules_version_is_positive check (version > 0),
    constraint circulation_rules_text_is_bounded check (octet_length(text) <= 1048576)
);
