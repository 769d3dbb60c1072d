-- Whether patrons keep a reading history: off by default, and theirs to choose.
alter table patron
    add column keeps_history boolean not null default false,
    -- When they chose; null where they never did.
    add column history_chosen_at timestamptz,
    add constraint patron_history_is_kept_by_choice check (not keeps_history or history_chosen_at is not null);
