-- Who was told what about whom: one row for each answer that held patrons.
create table access_log (
    place bigint generated always as identity,
    accessed_at timestamptz not null,
    -- The subject of the caller's token.
    accessed_by text not null,
    rpc text not null,
    patron_ids uuid[] not null,
    trace_parent text,
    constraint access_log_pkey primary key (place),
    constraint access_log_names_patrons check (cardinality(patron_ids) > 0)
);

create index access_log_accessed_at on access_log (accessed_at);

create function access_log_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the access log is only ever added to'
        using errcode = 'integrity_constraint_violation', constraint = 'access_log_is_append_only';
end
$$;

create trigger access_log_is_append_only
    before update or delete on access_log
    for each statement execute function access_log_refuse_change();

create trigger access_log_is_never_truncated
    before truncate on access_log
    for each statement execute function access_log_refuse_change();
