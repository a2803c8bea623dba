"""first schema"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from triage.db.events import Xid8

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.UUID(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
    )
    op.create_index(
        op.f("ix_dead_letters_object_type_object_id"), "dead_letters", ["object_type", "object_id"], unique=False
    )
    op.create_table(
        "event_seals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("upto_tx", Xid8(), nullable=False),
        sa.Column("upto_id", sa.BigInteger(), nullable=False),
        sa.Column("event_count", sa.Integer(), nullable=False),
        sa.Column("previous_sha256", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_seals")),
        sa.UniqueConstraint("sha256", name=op.f("uq_event_seals_sha256")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tx", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("actor_roles", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("recipient_id", sa.UUID(), nullable=True),
        sa.Column(
            "data",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.CheckConstraint("actor_kind IN ('user', 'partner', 'system')", name=op.f("ck_events_actor_kind")),
        sa.CheckConstraint(
            "operation IN ('collection', 'alteration', 'consultation', 'disclosure', 'combination', 'erasure', 'system')",
            name=op.f("ck_events_operation"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(
        op.f("ix_events_case_id_id"),
        "events",
        ["case_id", "id"],
        unique=False,
        postgresql_where=sa.text("case_id IS NOT NULL"),
    )
    op.create_index(op.f("ix_events_tx_id"), "events", ["tx", "id"], unique=False)
    op.create_table(
        "partners",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), server_default="GB", nullable=False),
        sa.Column("quota_per_day", sa.Integer(), server_default=sa.text("100000"), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "kind IN ('platform', 'force', 'local_authority', 'charity', 'scrutineer')", name=op.f("ck_partners_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partners")),
        sa.UniqueConstraint("name", name=op.f("uq_partners_name")),
    )
    op.create_table(
        "posts",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("platform_post_id", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("text_sha256", sa.Text(), nullable=True),
        sa.Column("author_handle", sa.Text(), nullable=True),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("scoring", sa.Text(), nullable=False),
        sa.Column("scoring_lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scoring_lease", sa.UUID(), nullable=True),
        sa.Column("scoring_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("lane IN ('urgent', 'live', 'bulk')", name=op.f("ck_posts_lane")),
        sa.CheckConstraint("scoring IN ('no_text', 'wanted', 'done', 'failed')", name=op.f("ck_posts_scoring")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posts")),
        sa.UniqueConstraint("identity", name=op.f("uq_posts_identity")),
    )
    op.create_index(
        "ix_posts_scoring_wanted", "posts", ["lane", "id"], unique=False, postgresql_where=sa.text("scoring = 'wanted'")
    )
    op.create_table(
        "users",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("failed_sign_ins", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("pseudonym", name=op.f("uq_users_pseudonym")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_table(
        "worker_beats",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("busy_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker_beats")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("partner_id", sa.UUID(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name=op.f("fk_api_keys_partner_id_partners")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    op.create_index(
        "uq_api_keys_one_active",
        "api_keys",
        ["partner_id"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "captures",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("post_id", sa.UUID(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease", sa.UUID(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("final_url", sa.Text(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("headers", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=True),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("tool_version", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("(status = 'done') = (sha256 IS NOT NULL)", name=op.f("ck_captures_done_has_bytes")),
        sa.CheckConstraint("status IN ('wanted', 'done', 'failed')", name=op.f("ck_captures_status")),
        sa.ForeignKeyConstraint(["post_id"], ["posts.id"], name=op.f("fk_captures_post_id_posts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_captures")),
        sa.UniqueConstraint("post_id", name=op.f("uq_captures_post_id")),
    )
    op.create_index(
        "ix_captures_wanted", "captures", ["id"], unique=False, postgresql_where=sa.text("status = 'wanted'")
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False, start=1001), nullable=False),
        sa.Column("post_id", sa.UUID(), nullable=False),
        sa.Column("status", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("tier", sa.Text(), nullable=True),
        sa.Column("assessed", sa.Boolean(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("report_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=True),
        sa.Column("codes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("band", sa.Integer(), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("urgent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("risk", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("lease_user_id", sa.UUID(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "outcome IS NULL OR outcome IN ('no_violation', 'refer', 'safeguard', 'escalate', 'second_opinion', 'route_out', 'return')",
            name=op.f("ck_cases_outcome"),
        ),
        sa.CheckConstraint(
            "status = 'waiting' OR (tier IS NOT NULL AND assessed IS NOT NULL)", name=op.f("ck_cases_open_has_tier")
        ),
        sa.CheckConstraint(
            "status IN ('waiting', 'open', 'awaiting_approval', 'decided')", name=op.f("ck_cases_status")
        ),
        sa.CheckConstraint("tier IS NULL OR tier IN ('P0', 'P1', 'P2', 'P3', 'P4')", name=op.f("ck_cases_tier")),
        sa.ForeignKeyConstraint(["lease_user_id"], ["users.id"], name=op.f("fk_cases_lease_user_id_users")),
        sa.ForeignKeyConstraint(["post_id"], ["posts.id"], name=op.f("fk_cases_post_id_posts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("number", name=op.f("uq_cases_number")),
        sa.UniqueConstraint("post_id", name=op.f("uq_cases_post_id")),
    )
    op.create_index(
        "ix_cases_queue",
        "cases",
        ["band", "deadline_at", sa.literal_column("risk DESC"), "id"],
        unique=False,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("ix_cases_status", "cases", ["status"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("partner_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("answer", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name=op.f("fk_idempotency_keys_partner_id_partners")),
        sa.PrimaryKeyConstraint("partner_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "partner_usage",
        sa.Column("partner_id", sa.UUID(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("reports", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name=op.f("fk_partner_usage_partner_id_partners")),
        sa.PrimaryKeyConstraint("partner_id", "day", name=op.f("pk_partner_usage")),
    )
    op.create_table(
        "scores",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("post_id", sa.UUID(), nullable=False),
        sa.Column("pipeline_version", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("contexts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("review", sa.Double(), nullable=False),
        sa.Column("urgent", sa.Double(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("not_assessed", sa.Text(), nullable=True),
        sa.Column("versions", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["post_id"], ["posts.id"], name=op.f("fk_scores_post_id_posts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scores")),
        sa.UniqueConstraint("post_id", "pipeline_version", name=op.f("uq_scores_post_id_pipeline_version")),
    )
    op.create_table(
        "user_sessions",
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("csrf_token", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_sessions_user_id_users")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_user_sessions")),
    )
    op.create_table(
        "assessments",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("scores_id", sa.UUID(), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("codes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_assessments_case_id_cases")),
        sa.ForeignKeyConstraint(["scores_id"], ["scores.id"], name=op.f("fk_assessments_scores_id_scores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assessments")),
        sa.UniqueConstraint("scores_id", "policy_version", name=op.f("uq_assessments_scores_id_policy_version")),
    )
    op.create_index(op.f("ix_assessments_case_id"), "assessments", ["case_id"], unique=False)
    op.create_table(
        "judgements",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("codes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("speech_act", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("imminence", sa.Text(), nullable=False),
        sa.Column("contexts", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "imminence IN ('imminent', 'near', 'unspecified', 'historic')", name=op.f("ck_judgements_imminence")
        ),
        sa.CheckConstraint(
            "speech_act IN ('threat', 'incitement', 'taunt', 'claim', 'glorify', 'solicit_sell', 'recruit', 'instruct', 'dox', 'disclose_victimisation', 'grief', 'discuss_news', 'counter_speech', 'artistic', 'fiction_gaming', 'hyperbole_banter', 'unclear')",
            name=op.f("ck_judgements_speech_act"),
        ),
        sa.CheckConstraint("stage IN ('first', 'final')", name=op.f("ck_judgements_stage")),
        sa.CheckConstraint(
            "target IN ('named_or_identifiable_person', 'identifiable_small_group', 'place_or_event', 'rival_group_generic', 'none')",
            name=op.f("ck_judgements_target"),
        ),
        sa.CheckConstraint("cardinality(codes) > 0", name=op.f("ck_judgements_has_codes")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_judgements_case_id_cases")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_judgements_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judgements")),
    )
    op.create_index(op.f("ix_judgements_case_id"), "judgements", ["case_id"], unique=False)
    op.create_table(
        "reports",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("partner_id", sa.UUID(), nullable=True),
        sa.Column("submitted_by", sa.UUID(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("acquisition_mode", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("force_code", sa.Text(), nullable=True),
        sa.Column("operation_ref", sa.Text(), nullable=True),
        sa.Column("urgent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("justification", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "acquisition_mode IN ('user_report', 'platform_detection', 'trusted_flagger', 'police_tasking', 'police_open_source', 'public_referral')",
            name=op.f("ck_reports_acquisition_mode"),
        ),
        sa.CheckConstraint(
            "purpose IN ('prevention_of_serious_violence', 'safeguarding', 'threat_to_life')",
            name=op.f("ck_reports_purpose"),
        ),
        sa.CheckConstraint("(partner_id IS NULL) <> (submitted_by IS NULL)", name=op.f("ck_reports_one_reporter")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_reports_case_id_cases")),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name=op.f("fk_reports_partner_id_partners")),
        sa.ForeignKeyConstraint(["submitted_by"], ["users.id"], name=op.f("fk_reports_submitted_by_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
        sa.UniqueConstraint("partner_id", "external_id", name=op.f("uq_reports_partner_id_external_id")),
    )
    op.create_index(op.f("ix_reports_case_id"), "reports", ["case_id"], unique=False)
    op.create_index(
        op.f("ix_reports_submitted_by"),
        "reports",
        ["submitted_by"],
        unique=False,
        postgresql_where=sa.text("submitted_by IS NOT NULL"),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("judgement_id", sa.UUID(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("codes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("referral", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("taxonomy_version", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("length(reasons) > 0 OR outcome = 'no_violation'", name=op.f("ck_decisions_has_reasons")),
        sa.CheckConstraint("outcome <> 'refer' OR referral IS NOT NULL", name=op.f("ck_decisions_refer_has_grounds")),
        sa.CheckConstraint(
            "outcome IN ('no_violation', 'refer', 'safeguard', 'escalate', 'second_opinion', 'route_out', 'return')",
            name=op.f("ck_decisions_outcome"),
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_decisions_case_id_cases")),
        sa.ForeignKeyConstraint(["judgement_id"], ["judgements.id"], name=op.f("fk_decisions_judgement_id_judgements")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_decisions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    op.create_index(op.f("ix_decisions_case_id"), "decisions", ["case_id"], unique=False)
    op.create_index(op.f("ix_decisions_user_id"), "decisions", ["user_id"], unique=False)
    op.create_table(
        "referrals",
        sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False, start=5001), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("decision_id", sa.UUID(), nullable=False),
        sa.Column("recipient_id", sa.UUID(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("submitter_ids", postgresql.ARRAY(sa.UUID()), nullable=False),
        sa.Column("reviewer_id", sa.UUID(), nullable=False),
        sa.Column("approver_id", sa.UUID(), nullable=True),
        sa.Column("document", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("document_sha256", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending_approval', 'approved', 'rejected', 'collected', 'recalled')",
            name=op.f("ck_referrals_status"),
        ),
        sa.CheckConstraint(
            "status NOT IN ('approved', 'collected', 'recalled') OR (approver_id IS NOT NULL AND document IS NOT NULL AND document_sha256 IS NOT NULL)",
            name=op.f("ck_referrals_sent_only_when_approved"),
        ),
        sa.CheckConstraint("approver_id <> ALL (submitter_ids)", name=op.f("ck_referrals_approver_is_not_submitter")),
        sa.CheckConstraint("reviewer_id <> ALL (submitter_ids)", name=op.f("ck_referrals_reviewer_is_not_submitter")),
        sa.CheckConstraint("reviewer_id <> approver_id", name=op.f("ck_referrals_reviewer_is_not_approver")),
        sa.ForeignKeyConstraint(["approver_id"], ["users.id"], name=op.f("fk_referrals_approver_id_users")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_referrals_case_id_cases")),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_referrals_decision_id_decisions")),
        sa.ForeignKeyConstraint(["recipient_id"], ["partners.id"], name=op.f("fk_referrals_recipient_id_partners")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["users.id"], name=op.f("fk_referrals_reviewer_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_referrals")),
        sa.UniqueConstraint("decision_id", name=op.f("uq_referrals_decision_id")),
        sa.UniqueConstraint("number", name=op.f("uq_referrals_number")),
    )
    op.create_index(op.f("ix_referrals_case_id"), "referrals", ["case_id"], unique=False)
    op.create_index(
        op.f("ix_referrals_recipient_id_status_id"), "referrals", ["recipient_id", "status", "id"], unique=False
    )
    op.execute(REFUSE)
    for table in ("events", "event_seals"):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index(op.f("ix_referrals_recipient_id_status_id"), table_name="referrals")
    op.drop_index(op.f("ix_referrals_case_id"), table_name="referrals")
    op.drop_table("referrals")
    op.drop_index(op.f("ix_decisions_user_id"), table_name="decisions")
    op.drop_index(op.f("ix_decisions_case_id"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_index(
        op.f("ix_reports_submitted_by"), table_name="reports", postgresql_where=sa.text("submitted_by IS NOT NULL")
    )
    op.drop_index(op.f("ix_reports_case_id"), table_name="reports")
    op.drop_table("reports")
    op.drop_index(op.f("ix_judgements_case_id"), table_name="judgements")
    op.drop_table("judgements")
    op.drop_index(op.f("ix_assessments_case_id"), table_name="assessments")
    op.drop_table("assessments")
    op.drop_table("user_sessions")
    op.drop_table("scores")
    op.drop_table("partner_usage")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_cases_status", table_name="cases")
    op.drop_index("ix_cases_queue", table_name="cases", postgresql_where=sa.text("status = 'open'"))
    op.drop_table("cases")
    op.drop_index("ix_captures_wanted", table_name="captures", postgresql_where=sa.text("status = 'wanted'"))
    op.drop_table("captures")
    op.drop_index("uq_api_keys_one_active", table_name="api_keys", postgresql_where=sa.text("revoked_at IS NULL"))
    op.drop_table("api_keys")
    op.drop_table("worker_beats")
    op.drop_table("users")
    op.drop_index("ix_posts_scoring_wanted", table_name="posts", postgresql_where=sa.text("scoring = 'wanted'"))
    op.drop_table("posts")
    op.drop_table("partners")
    op.drop_index(op.f("ix_events_tx_id"), table_name="events")
    op.drop_index(op.f("ix_events_case_id_id"), table_name="events", postgresql_where=sa.text("case_id IS NOT NULL"))
    op.drop_table("events")
    op.drop_table("event_seals")
    op.drop_index(op.f("ix_dead_letters_object_type_object_id"), table_name="dead_letters")
    op.drop_table("dead_letters")
    op.execute("DROP FUNCTION refuse_change()")
