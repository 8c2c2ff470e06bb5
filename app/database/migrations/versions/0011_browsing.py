"""Browsing a million messages: a subject is looked for within a feed, filters that seldom meet
have one of their own, and open facts are counted as they come and go.

The counts stand in slots, one per database connection, so that writers don't wait for each other;
their sum over the slots is exact in every snapshot.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = (
    "drop index feeds.fact_subject_message",
    """
    create index fact_subject_message on feeds.fact (feed, subject, message_id desc)
      where subject is not null
    """,
    "drop index feeds.fact_open_subject",
    """
    create index fact_open_subject on feeds.fact (feed, subject, message_id desc, ordinal)
      where state = 'open' and subject is not null
    """,
    """
    create index fact_code_reason on feeds.fact (feed, code, reason, message_id desc, ordinal)
      where code <> '' and reason is not null
    """,
    """
    create index fact_subject_reason on feeds.fact
      (feed, subject, reason, message_id desc, ordinal)
      where subject is not null and reason is not null
    """,
    """
    create index fact_open_code_reason on feeds.fact
      (feed, code, reason, message_id desc, ordinal)
      where state = 'open' and code <> ''
    """,
    """
    create index fact_settled_reason on feeds.fact
      (feed, state, resolved_reason, message_id desc, ordinal)
      where state in ('resolved', 'dismissed')
    """,
    """
    create index fact_settled_code on feeds.fact
      (feed, state, code, message_id desc, ordinal)
      where state in ('resolved', 'dismissed') and code <> ''
    """,
    """
    create index fact_settled_subject on feeds.fact
      (feed, state, subject, message_id desc, ordinal)
      where state in ('resolved', 'dismissed') and subject is not null
    """,
    """
    create table feeds.open_facts (
      feed text collate "C",
      reason text collate "C",
      slot integer,
      number bigint not null,
      primary key (feed, reason, slot)
    )
    """,
    """
    create function feeds.count_open_facts() returns trigger language plpgsql as $$
    begin
      if tg_op = 'INSERT' then
        insert into feeds.open_facts as o
        select feed, coalesce(reason, ''), pg_backend_pid() % 256, count(*) from fresh
        where state = 'open' group by 1, 2 order by 1, 2
        on conflict (feed, reason, slot) do update set number = o.number + excluded.number;
      else
        insert into feeds.open_facts as o
        select feed, coalesce(reason, ''), pg_backend_pid() % 256, sum(change) from (
          select feed, reason, 1 as change from fresh where state = 'open'
          union all select feed, reason, -1 from former where state = 'open'
        ) changed
        group by 1, 2 having sum(change) <> 0 order by 1, 2
        on conflict (feed, reason, slot) do update set number = o.number + excluded.number;
      end if;
      return null;
    end
    $$
    """,
    """
    create trigger open_facts_inserted after insert on feeds.fact
      referencing new table as fresh
      for each statement execute function feeds.count_open_facts()
    """,
    """
    create trigger open_facts_updated after update on feeds.fact
      referencing old table as former new table as fresh
      for each statement execute function feeds.count_open_facts()
    """,
    """
    insert into feeds.open_facts select feed, coalesce(reason, ''), 0, count(*)
    from feeds.fact where state = 'open' group by 1, 2
    """,
    "grant select, insert, update on feeds.open_facts to ssci_runtime",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
