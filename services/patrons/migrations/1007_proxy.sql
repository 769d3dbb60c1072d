-- Who may borrow for whom.
create table proxy (
    id uuid not null,
    sponsor_patron_id uuid not null,
    proxy_patron_id uuid not null,
    -- The last day on which they may; null: until it is ended.
    expiration_date date,
    created_at timestamptz not null,
    created_by text not null,
    ended_at timestamptz,
    ended_by text,
    -- Its own, apart from the patrons'.
    revision bigint not null,
    constraint proxy_pkey primary key (id),
    constraint proxy_sponsor_exists foreign key (sponsor_patron_id) references patron (id),
    constraint proxy_patron_exists foreign key (proxy_patron_id) references patron (id),
    constraint proxy_is_somebody_else check (sponsor_patron_id <> proxy_patron_id),
    constraint proxy_ended_by_someone check ((ended_at is null) = (ended_by is null)),
    constraint proxy_revision_is_positive check (revision > 0)
);

create unique index proxy_open_key on proxy (sponsor_patron_id, proxy_patron_id) where ended_at is null;
create index proxy_by_sponsor on proxy (sponsor_patron_id, id desc);
create index proxy_by_proxy on proxy (proxy_patron_id, id desc);
