-- Who is owed, and what for.
create table fee_fine_owner (
    id uuid not null,
    code text not null,
    name text not null,
    -- The college that is owed by charges made by hand; null: none.
    institution_code text,
    constraint fee_fine_owner_pkey primary key (id),
    constraint fee_fine_owner_code_key unique (code)
);

-- Whose charges each library's are.
create table fee_fine_owner_library (
    library_code text not null,
    fee_fine_owner_id uuid not null,
    constraint fee_fine_owner_library_key primary key (library_code),
    constraint fee_fine_owner_library_has_owner foreign key (fee_fine_owner_id) references fee_fine_owner (id)
);

create index fee_fine_owner_library_owner on fee_fine_owner_library (fee_fine_owner_id);

create table fee_fine_type (
    id uuid not null,
    code text not null,
    kind text not null,
    -- The neutral name that may leave for the student account.
    statement_text text not null,
    default_amount numeric(14, 2),
    default_currency text,
    constraint fee_fine_type_pkey primary key (id),
    constraint fee_fine_type_code_key unique (code),
    constraint fee_fine_type_kind_is_known check (
        kind in ('overdue_fine', 'lost_item_fee', 'lost_item_processing_fee', 'manual')
    ),
    constraint fee_fine_type_default_is_positive check (default_amount > 0),
    constraint fee_fine_type_default_is_whole check ((default_amount is null) = (default_currency is null))
);

-- An automatic charge finds its type by its kind.
create unique index fee_fine_type_kind_key on fee_fine_type (kind) where kind <> 'manual';
