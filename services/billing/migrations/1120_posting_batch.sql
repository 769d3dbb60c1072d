-- Postings that go as files. A batch is built in one transaction, with its file byte for byte, so that it can be written
-- again exactly as it was.
create table posting_batch_destination (
    -- The layout's name.
    destination text not null,
    -- The number of the last batch: 1, 2, 3 … without gaps, unless the database was restored.
    last_sequence bigint not null default 0,
    -- The last moment of the schedule for which batches were built.
    built_for timestamptz,
    constraint posting_batch_destination_pkey primary key (destination),
    constraint posting_batch_destination_sequence_is_not_negative check (last_sequence >= 0)
);

create table posting_batch (
    id uuid not null,
    destination text not null,
    sequence bigint not null,
    file_name text not null,
    state text not null,
    row_count integer not null,
    charge_total numeric(14, 2) not null,
    credit_total numeric(14, 2) not null,
    hash_total numeric(20, 0) not null,
    currency text not null,
    -- SHA-256 of the file.
    fingerprint bytea not null,
    content bytea not null,
    problem text not null default '',
    built_at timestamptz not null,
    -- When the file was complete beside the drop folder; from then on only its move is missing.
    staged_at timestamptz,
    delivered_at timestamptz,
    -- When its last line was answered.
    answered_at timestamptz,
    constraint posting_batch_pkey primary key (id),
    constraint posting_batch_sequence_key unique (destination, sequence),
    constraint posting_batch_file_name_key unique (destination, file_name),
    constraint posting_batch_has_destination foreign key (destination) references posting_batch_destination (destination),
    constraint posting_batch_state_is_known check (
        state in ('built', 'delivered', 'acknowledged', 'partly_rejected', 'refused')
    ),
    constraint posting_batch_delivered_was_staged check (
        (state = 'built') = (delivered_at is null) and (delivered_at is null or staged_at is not null)
    ),
    constraint posting_batch_is_not_empty check (row_count > 0)
);

create index posting_batch_to_deliver on posting_batch (destination, sequence) where state = 'built';
create index posting_batch_built on posting_batch (built_at, id);

-- The postings of a batch. Several share a row where the layout groups them.
create table posting_batch_line (
    batch_id uuid not null,
    posting_id uuid not null,
    row_number integer not null,
    attempt_id uuid not null,
    reference text not null,
    amount numeric(14, 2) not null,
    -- '' until answered.
    verdict text not null default '',
    reason text not null default '',
    constraint posting_batch_line_pkey primary key (batch_id, posting_id),
    constraint posting_batch_line_has_batch foreign key (batch_id) references posting_batch (id),
    constraint posting_batch_line_has_posting foreign key (posting_id) references posting (id),
    constraint posting_batch_line_attempt_key unique (attempt_id),
    constraint posting_batch_line_verdict_is_known check (verdict in ('', 'accepted', 'rejected', 'resolved'))
);

create index posting_batch_line_row on posting_batch_line (batch_id, row_number);
create index posting_batch_line_unanswered on posting_batch_line (batch_id) where verdict = '';

-- Every answer that was taken or refused; the same file, name and bytes, is taken once.
create table posting_batch_answer (
    id uuid not null,
    destination text not null,
    file_name text not null,
    fingerprint bytea not null,
    -- Null where no batch was found.
    batch_id uuid,
    -- '' where it was taken.
    problem text not null default '',
    received_at timestamptz not null,
    constraint posting_batch_answer_pkey primary key (id),
    constraint posting_batch_answer_has_batch foreign key (batch_id) references posting_batch (id)
);

create unique index posting_batch_answer_key on posting_batch_answer (destination, fingerprint) where problem = '';
create index posting_batch_answer_batch on posting_batch_answer (batch_id, id);

-- The last batch that a posting was in.
alter table posting add column batch_id uuid;
alter table posting add constraint posting_is_in_batch foreign key (batch_id) references posting_batch (id);

alter table posting_attempt drop constraint posting_attempt_kind_is_known;
alter table posting_attempt add constraint posting_attempt_kind_is_known
    check (kind in ('submit', 'batch', 'look-up', 'person'));
