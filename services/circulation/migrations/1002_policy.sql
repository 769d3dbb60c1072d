-- Policies: immutable versions. A loan points at the versions it was made
-- under.
create table policy (
    id uuid not null,
    -- Rises with each version of any policy, in commit order (creators take
    -- turns): what is kept in memory up to a serial is whole.
    serial bigint generated always as identity,
    kind text not null,
    code text not null,
    version integer not null,
    name text not null,
    terms jsonb not null,
    created_at timestamptz not null,
    created_by text not null,
    constraint policy_pkey primary key (id),
    constraint policy_serial_key unique (serial),
    constraint policy_version_key unique (kind, code, version),
    constraint policy_kind_is_known check (kind in ('loan', 'overdue_fine', 'lost_item')),
    constraint policy_version_is_positive check (version > 0)
);

create function policy_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'a policy never changes; add its next version'
        using errcode = 'integrity_constraint_violation', constraint = 'policy_is_immutable';
end
$$;

create trigger policy_is_immutable
    before update or delete or truncate on policy
    for each statement execute function policy_refuse_change();

-- The limits of a patron group, whatever the item. 0: no limit.
create table patron_limits (
    patron_group text not null,
    max_loans integer not null,
    max_overdue integer not null,
    max_lost integer not null,
    max_balance numeric(14, 2),
    max_balance_currency text,
    constraint patron_limits_pkey primary key (patron_group),
    constraint patron_limits_are_not_negative check (
        max_loans >= 0 and max_overdue >= 0 and max_lost >= 0 and max_balance >= 0
    ),
    constraint patron_limits_balance_has_currency check ((max_balance is null) = (max_balance_currency is null))
);
