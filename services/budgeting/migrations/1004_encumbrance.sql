-- Encumbrances: money set aside for orders.

create table encumbrance (
    id uuid not null,
    budget_id uuid not null,
    budget_code text not null,
    currency text not null,
    amount numeric(14, 2) not null,
    status text not null,
    description text not null,
    revision bigint not null default 1,
    created_at timestamptz not null,
    released_at timestamptz,
    constraint encumbrance_pkey primary key (id),
    constraint encumbrance_budget_exists
        foreign key (budget_id, currency) references budget (id, currency),
    constraint encumbrance_amount_is_positive check (amount > 0),
    constraint encumbrance_status_is_known check (status in ('unreleased', 'released')),
    constraint encumbrance_released_has_time
        check ((status = 'released') = (released_at is not null))
);

create index encumbrance_budget on encumbrance (budget_id, id);
