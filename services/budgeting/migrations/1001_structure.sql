-- What money is kept by: fiscal years, ledgers, funds.

create table fiscal_year (
    id uuid not null,
    code text collate "C" not null,
    first_date date not null,
    last_date date not null,
    -- The currency of all books of the year (ISO 4217).
    currency text not null,
    created_at timestamptz not null,
    constraint fiscal_year_pkey primary key (id),
    constraint fiscal_year_code_key unique (code),
    -- So that a budget's foreign key can hold it to its year's currency.
    constraint fiscal_year_currency_key unique (id, currency),
    constraint fiscal_year_currency_is_a_code check (currency ~ '^[A-Z]{3}$'),
    constraint fiscal_year_dates_in_order check (first_date <= last_date),
    constraint fiscal_years_do_not_overlap
        exclude using gist (daterange(first_date, last_date, '[]') with &&)
);

create index fiscal_year_first_date on fiscal_year (first_date);

create table ledger (
    id uuid not null,
    code text collate "C" not null,
    name text not null,
    created_at timestamptz not null,
    constraint ledger_pkey primary key (id),
    constraint ledger_code_key unique (code)
);

create table fund (
    id uuid not null,
    ledger_id uuid not null,
    code text collate "C" not null,
    name text not null,
    -- The fund's account in the district's finance system; '' where it has none.
    external_account_number text not null,
    created_at timestamptz not null,
    constraint fund_pkey primary key (id),
    constraint fund_code_key unique (code),
    constraint fund_ledger_exists foreign key (ledger_id) references ledger (id)
);

create index fund_ledger on fund (ledger_id, code);
