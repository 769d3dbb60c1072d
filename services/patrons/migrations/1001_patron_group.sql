-- Groups of patrons with the same privileges.
create table patron_group (
    id uuid not null,
    -- For rules and rosters; it never changes.
    code text collate "C" not null,
    name text not null,
    constraint patron_group_pkey primary key (id),
    constraint patron_group_code_key unique (code),
    constraint patron_group_code_is_short check (octet_length(code) between 1 and 40)
);
