-- The budgeting journal: append-only double entry. A debit is positive, a
-- credit negative. The accounts and their pairs are those of governmental
-- budgetary accounting (see src/journal/model.rs):
--
--   allocation            debit allocated                 credit appropriation
--   encumbrance           debit encumbered                credit reserve_for_encumbrances
--   encumbrance_release   debit reserve_for_encumbrances  credit encumbered

create table journal_transaction (
    -- Drawn under the budget's row lock, so a budget's transactions have the
    -- order in which they took effect.
    number bigint generated always as identity,
    id uuid not null,
    kind text not null,
    encumbrance_id uuid,
    booked_at timestamptz not null,
    actor text not null,
    comment text not null,
    constraint journal_transaction_pkey primary key (number),
    constraint journal_transaction_id_key unique (id),
    constraint journal_transaction_encumbrance_exists
        foreign key (encumbrance_id) references encumbrance (id),
    constraint journal_transaction_kind_is_known
        check (kind in ('allocation', 'encumbrance', 'encumbrance_release')),
    constraint journal_transaction_names_its_encumbrance
        check ((kind = 'allocation') = (encumbrance_id is null))
);

create table journal_entry (
    transaction_number bigint not null,
    -- From 1. The first line says what the transaction is about, and how much.
    line smallint not null,
    budget_id uuid not null,
    account text not null,
    currency text not null,
    amount numeric(14, 2) not null,
    constraint journal_entry_pkey primary key (transaction_number, line),
    constraint journal_entry_transaction_exists
        foreign key (transaction_number) references journal_transaction (number),
    constraint journal_entry_budget_exists
        foreign key (budget_id, currency) references budget (id, currency),
    constraint journal_entry_account_is_known check (
        account in ('allocated', 'appropriation', 'encumbered', 'reserve_for_encumbrances')
    ),
    constraint journal_entry_line_is_positive check (line > 0),
    constraint journal_entry_amount_is_not_zero check (amount <> 0)
);

create index journal_entry_budget on journal_entry (budget_id, transaction_number) where line = 1;

-- Each transaction's entries come in one statement, and sum to zero in each
-- currency. For each statement and not deferred by row: that is quadratic.
create function journal_entry_check() returns trigger language plpgsql as $$
begin
    if exists (
        select from inserted group by transaction_number, currency having sum(amount) <> 0
    ) then
        raise exception 'the entries of a transaction must sum to zero in each currency'
            using errcode = 'integrity_constraint_violation',
                  constraint = 'journal_transaction_balances';
    end if;
    if exists (
        select
        from (select transaction_number, count(*) as lines from inserted group by 1) as added
        where lines <> (
            select count(*) from journal_entry as kept
            where kept.transaction_number = added.transaction_number
        )
    ) then
        raise exception 'entries cannot be added to a transaction later'
            using errcode = 'integrity_constraint_violation',
                  constraint = 'journal_transaction_is_whole';
    end if;
    return null;
end
$$;

create trigger journal_entry_check
    after insert on journal_entry
    referencing new table as inserted
    for each statement execute function journal_entry_check();

create function journal_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the journal is append-only; correct it with a new transaction'
        using errcode = 'integrity_constraint_violation', constraint = 'journal_is_append_only';
end
$$;

create trigger journal_transaction_is_append_only
    before update or delete or truncate on journal_transaction
    for each statement execute function journal_refuse_change();

create trigger journal_entry_is_append_only
    before update or delete or truncate on journal_entry
    for each statement execute function journal_refuse_change();

-- By privilege as well. The row locks of foreign keys need UPDATE on some
-- column: there the trigger stands alone.
revoke update, delete, truncate on journal_transaction, journal_entry from current_user;
grant update (number) on journal_transaction to current_user;
grant update (line) on journal_entry to current_user;
