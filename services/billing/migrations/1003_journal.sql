-- The double-entry journal. Append-only; debits are positive, credits
-- negative, and each transaction sums to zero.
create table journal_transaction (
    id uuid not null,
    account_id uuid not null,
    booked_at timestamptz not null,
    -- The transaction that this one takes back.
    reverses_transaction_id uuid,
    constraint journal_transaction_pkey primary key (id),
    constraint journal_transaction_has_account foreign key (account_id) references account (id),
    constraint journal_transaction_reverses_one foreign key (reverses_transaction_id) references journal_transaction (id),
    constraint journal_transaction_is_reversed_once unique (reverses_transaction_id)
);

create index journal_transaction_account on journal_transaction (account_id, id);

create table journal_entry (
    transaction_id uuid not null,
    line smallint not null,
    ledger_account text not null,
    amount numeric(14, 2) not null,
    currency text not null,
    constraint journal_entry_pkey primary key (transaction_id, line),
    constraint journal_entry_has_transaction foreign key (transaction_id) references journal_transaction (id),
    constraint journal_entry_is_not_zero check (amount <> 0),
    constraint journal_entry_ledger_account_is_known check (
        ledger_account in ('patron_receivable', 'sis_clearing', 'cash', 'revenue', 'waivers', 'credits',
                           'sis_settled', 'refunds_payable')
    )
);

create index journal_entry_ledger_account on journal_entry (ledger_account, currency) include (amount);

-- One look at all that a statement inserted: a deferred row trigger is
-- quadratic.
create function journal_entry_check() returns trigger language plpgsql as $$
begin
    if exists (
        select from inserted group by transaction_id, currency having sum(amount) <> 0
    ) then
        raise exception 'the entries of a transaction must sum to zero in each currency'
            using errcode = 'integrity_constraint_violation', constraint = 'journal_transaction_sums_to_zero';
    end if;
    -- Entries that come later could each be sound and still change what was booked.
    if exists (
        select from (select transaction_id, count(*) as added from inserted group by transaction_id) as now_added
        where added <> (select count(*) from journal_entry where journal_entry.transaction_id = now_added.transaction_id)
    ) then
        raise exception 'the entries of a transaction are inserted by one statement'
            using errcode = 'integrity_constraint_violation', constraint = 'journal_transaction_is_whole';
    end if;
    return null;
end
$$;

create trigger journal_transaction_sums_to_zero
    after insert on journal_entry referencing new table as inserted
    for each statement execute function journal_entry_check();

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only; book a correction that names what it corrects', tg_table_name
        using errcode = 'integrity_constraint_violation', constraint = tg_table_name || '_is_append_only';
end
$$;

create trigger journal_transaction_is_append_only
    before update or delete or truncate on journal_transaction
    for each statement execute function refuse_change();
create trigger journal_entry_is_append_only
    before update or delete or truncate on journal_entry
    for each statement execute function refuse_change();
create trigger account_action_is_append_only
    before update or delete or truncate on account_action
    for each statement execute function refuse_change();

-- By privilege too, even for the owner. UPDATE on journal_transaction stays:
-- PostgreSQL asks for it when a foreign key locks the row; the trigger refuses.
revoke update, delete, truncate on journal_entry, account_action from current_user;
revoke delete, truncate on journal_transaction from current_user;
