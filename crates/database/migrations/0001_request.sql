-- Requests that changed something, so that a repeated one gets the first
-- answer instead of a second effect. Ids only: the answer is read again from
-- the rows they name.
create table request (
    caller text not null,
    rpc text not null,
    request_id uuid not null,
    fingerprint bytea not null,
    outcome uuid[] not null,
    created_at timestamptz not null,
    constraint request_key primary key (caller, rpc, request_id),
    constraint request_fingerprint_is_sha256 check (octet_length(fingerprint) = 32)
);

create index request_created_at on request (created_at);
