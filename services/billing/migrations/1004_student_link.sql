-- Which patron has which student account: a projection of patrons' feed.
-- A row applies only with a greater (generation, revision).
create table student_link (
    patron_id uuid not null,
    -- Null: no student account, never posted.
    student_id text,
    generation bigint not null,
    revision bigint not null,
    constraint student_link_pkey primary key (patron_id)
);
