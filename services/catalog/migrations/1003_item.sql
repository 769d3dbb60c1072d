-- Items: the copies that stand on a shelf.
create table item (
    id uuid not null,
    record_id uuid not null,
    barcode text,
    status text not null,
    material_type text not null,
    loan_type text not null,
    location_id uuid not null,
    call_number text not null default '',
    copy_number text not null default '',
    replacement_price numeric(14, 2),
    replacement_currency text,
    revision bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint item_pkey primary key (id),
    constraint item_barcode_key unique (barcode),
    constraint item_record_exists foreign key (record_id) references record (id),
    constraint item_location_exists foreign key (location_id) references location_unit (id),
    constraint item_status_is_known check (status in
        ('available', 'on_order', 'in_process', 'in_repair', 'missing', 'restricted', 'withdrawn')),
    constraint item_price_has_currency check ((replacement_price is null) = (replacement_currency is null)),
    constraint item_price_is_not_negative check (replacement_price >= 0)
);

create index item_record on item (record_id, id);
create index item_location on item (location_id);

-- What circulation says of items: a projection of its feed. An item it never
-- dealt with has no row and is in.
create table item_availability (
    item_id uuid not null,
    status text not null,
    generation bigint not null,
    revision bigint not null,
    constraint item_availability_pkey primary key (item_id),
    constraint item_availability_status_is_known check (status in ('in', 'checked_out', 'aged_to_lost'))
) with (fillfactor = 70);
