-- Versions of the rules that hold from an instant of their own.
alter table circulation_rules add column created_at timestamptz;
update circulation_rules set created_at = effective_at;
alter table circulation_rules
    alter column created_at set not null,
    add constraint circulation_rules_effective_not_in_past check (effective_at >= created_at);

-- In force at an instant: where effective_at <= it, the first in this order.
create index circulation_rules_in_force on circulation_rules (effective_at desc, version desc) include (id);

-- A loan names the version that it was made under.
create function circulation_rules_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'a version of the rules never changes; add the next one'
        using errcode = 'integrity_constraint_violation', constraint = 'circulation_rules_are_immutable';
end
$$;

create trigger circulation_rules_are_immutable
    before update on circulation_rules
    for each statement execute function circulation_rules_refuse_change();
