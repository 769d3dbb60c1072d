-- From patrons: who may borrow for whom.
create table proxy_projection (
    proxy_id uuid not null,
    sponsor_patron_id uuid not null,
    proxy_patron_id uuid not null,
    -- The last day on which they may.
    expiration_date date,
    ended boolean not null,
    generation bigint not null,
    revision bigint not null,
    constraint proxy_projection_pkey primary key (proxy_id)
);

create index proxy_projection_sponsor on proxy_projection (sponsor_patron_id, proxy_patron_id) where not ended;
