-- The district's places. Levels: 1 institution (college), 2 campus,
-- 3 library, 4 location.
create table location_unit (
    id uuid not null,
    level smallint not null,
    parent_id uuid,
    -- So that the foreign key below holds a unit to the level above its own.
    parent_level smallint generated always as (case when level > 1 then level - 1 end) stored,
    code text not null,
    name text not null,
    revision bigint not null default 1,
    constraint location_unit_pkey primary key (id),
    constraint location_unit_id_level_key unique (id, level),
    constraint location_unit_code_key unique (level, code),
    constraint location_unit_level_is_known check (level between 1 and 4),
    constraint location_unit_institution_is_top check ((level = 1) = (parent_id is null)),
    constraint location_unit_parent_is_level_above
        foreign key (parent_id, parent_level) references location_unit (id, level)
);

create index location_unit_parent on location_unit (parent_id, level, code);
