-- Blocks that a person set on a patron.
create table manual_block (
    id uuid not null,
    patron_id uuid not null,
    patron_message text not null,
    -- For staff only; never in an event.
    staff_note text not null,
    blocks_borrowing boolean not null,
    blocks_renewals boolean not null,
    blocks_requests boolean not null,
    -- The last day on which it holds; null: until it is lifted.
    expiration_date date,
    created_at timestamptz not null,
    created_by text not null,
    lifted_at timestamptz,
    lifted_by text,
    -- Its own, apart from the patron's.
    revision bigint not null,
    constraint manual_block_pkey primary key (id),
    constraint manual_block_patron_exists foreign key (patron_id) references patron (id),
    constraint manual_block_blocks_something check (blocks_borrowing or blocks_renewals or blocks_requests),
    constraint manual_block_lifted_by_someone check ((lifted_at is null) = (lifted_by is null)),
    constraint manual_block_revision_is_positive check (revision > 0)
);

create index manual_block_by_patron on manual_block (patron_id, id desc);
