"""Watching the feeds: indexes of the message browser and of quarantine, dismissals, replays.

Dismissals are only appended. A replay and its messages move on as it is worked through.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    "drop index feeds.message_control_id",
    "create index message_control_id on feeds.message (feed, control_id, id desc)",
    "create index message_type on feeds.message (feed, message_type, id desc)",
    "create index message_received on feeds.message (feed, received, id)",
    'alter table feeds.fact add column resolved_reason text collate "C"',
    "drop index feeds.fact_open_reason",
    """
    create index fact_open_reason on feeds.fact (feed, reason, message_id desc, ordinal)
      where state = 'open'
    """,
    """
    create index fact_settled on feeds.fact (feed, state, message_id desc, ordinal)
      where state in ('resolved', 'dismissed')
    """,
    """
    create index fact_subject_message on feeds.fact (subject, message_id desc)
      where subject is not null
    """,
    "create index fact_code on feeds.fact (feed, code, message_id desc) where code <> ''",
    "create index fact_order on feeds.fact (order_token, message_id desc) where order_token <> ''",
    """
    create index fact_reason on feeds.fact (feed, reason, message_id desc)
      where reason is not null
    """,
    """
    create index fact_open_code on feeds.fact (feed, code, message_id desc, ordinal)
      where state = 'open' and code <> ''
    """,
    """
    create index fact_open_subject on feeds.fact (subject, message_id desc, ordinal)
      where state = 'open' and subject is not null
    """,
    """
    create table feeds.dismissal (
      id bigint generated always as identity primary key,
      feed text collate "C" not null,
      message_id bigint not null,
      ordinal integer not null,
      action text collate "C" not null,
      fact_reason text collate "C",
      person text collate "C" not null,
      reason text collate "C" not null,
      decided timestamptz not null,
      constraint dismissal_fact foreign key (message_id, ordinal) references feeds.fact
    )
    """,
    "create index dismissal_newest on feeds.dismissal (feed, id desc)",
    "create index dismissal_of_fact on feeds.dismissal (message_id, ordinal)",
    "grant select, insert on feeds.dismissal to ssci_runtime",
    """
    create table feeds.replay (
      id bigint generated always as identity primary key,
      person text collate "C" not null,
      reason text collate "C" not null,
      selection text collate "C" not null,
      mapping_version text collate "C" not null,
      state text collate "C" not null,
      requested timestamptz not null,
      ended timestamptz,
      claimed_until timestamptz not null
    )
    """,
    "create index replay_running on feeds.replay (id) where state = 'running'",
    """
    create table feeds.replay_message (
      replay_id bigint references feeds.replay,
      message_id bigint references feeds.message,
      done boolean not null,
      facts integer not null,
      versions integer not null,
      unchanged integer not null,
      failing integer not null,
      primary key (replay_id, message_id)
    )
    """,
    """
    create index replay_message_left on feeds.replay_message (replay_id, message_id)
      where not done
    """,
    "grant select, insert, update on feeds.replay, feeds.replay_message to ssci_runtime",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
