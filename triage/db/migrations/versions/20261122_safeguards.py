"""second person, safeguarding inbox and scrutiny: their tables, and the rules of the code book held by the database

The functions name the rule they hold (docs/decision-rules.md). Rows from before are left as they are: a trigger sees
only what is written from now on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

#: One refusal: the condition under which a row is refused, and the rule with its words.
REFUSE_IF = """
    IF {condition} THEN
        RAISE EXCEPTION '{rule}: {words}' USING ERRCODE = 'check_violation', CONSTRAINT = '{name}';
    END IF;
"""


def _rules(*rules: tuple[str, str, str]) -> str:
    return "".join(
        REFUSE_IF.format(
            rule=rule, words=words.replace("'", "''"), condition=condition, name=rule.lower().replace("-", "_")
        )
        for rule, words, condition in rules
    )


def _blank(*names: str) -> str:
    return " OR ".join(f"length(trim(coalesce(g ->> '{name}', ''))) = 0" for name in names)


def _none(name: str) -> str:
    return f"jsonb_array_length(coalesce(g -> '{name}', '[]'::jsonb)) = 0"


_OF_A_REFERRAL = _rules(
    ("DEC-11", "these codes alone never leave", "NEW.codes <@ ARRAY['VIC', 'GPR', 'BEN']"),
    (
        "DEC-02",
        "facts and assessment are stated apart",
        _blank("facts", "statement_of_reasons"),
    ),
    (
        "DEC-07",
        "causal path, likelihood, necessity, proportionality and the least intrusive option are written down",
        _blank("causal_path", "necessity", "proportionality", "least_intrusive")
        + " OR coalesce(g ->> 'likelihood', '') NOT IN ('likely', 'highly_likely', 'almost_certain')",
    ),
    (
        "REF-02",
        "a policy clause or a legal basis",
        f"({_blank('platform_policy_clause')}) AND {_none('legal_basis')}",
    ),
    (
        "CHI-02",
        "safeguarding comes first where a child may be concerned",
        "coalesce(g ->> 'possible_child', 'unknown') <> 'no' AND "
        f"(coalesce(g ->> 'safeguarding_considered', 'false') <> 'true' OR {_blank('safeguarding_note')})",
    ),
    (
        "DEC-03",
        "a veiled threat needs a primary and a secondary signal",
        "'VTH' = ANY (NEW.codes) AND "
        f"({_none('primary_signals')} OR {_none('secondary_signals')} OR {_blank('secondary_source')})",
    ),
    (
        "DEC-04",
        "the submitter's word, or police alone, is no second signal",
        "'VTH' = ANY (NEW.codes) AND NOT EXISTS (SELECT FROM jsonb_array_elements_text("
        "coalesce(g -> 'secondary_sources', '[]'::jsonb)) AS source (kind) "
        "WHERE kind NOT IN ('submitter', 'police_assertion'))",
    ),
    (
        "DEC-05",
        "an event more than 12 months back needs evidence besides the reference to it",
        "(g ->> 'past_event' = 'undated' OR (g ->> 'past_event' = 'dated' AND coalesce(g ->> 'past_event_month', '') "
        "< to_char(NEW.created_at AT TIME ZONE 'UTC' - interval '12 months', 'YYYY-MM'))) "
        f"AND ({_blank('past_event_evidence')})",
    ),
    (
        "DEC-06",
        "art, news, counter-speech and grief need a written rebuttal",
        "EXISTS (SELECT FROM judgements WHERE id = NEW.judgement_id "
        "AND contexts && ARRAY['artistic', 'news', 'counter_speech', 'grief']) "
        f"AND ({_blank('context_rebuttal')})",
    ),
)

DECISION = f"""
CREATE FUNCTION hold_decision_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    g jsonb := coalesce(NEW.referral, '{{}}'::jsonb);
BEGIN
{
    _rules(
        (
            "DEC-01",
            "a decision names the versions it was made under",
            "length(trim(NEW.policy_version)) = 0 OR length(trim(NEW.taxonomy_version)) = 0",
        )
    )
}
    IF NEW.outcome <> 'refer' THEN
        RETURN NEW;
    END IF;
{_OF_A_REFERRAL}
    RETURN NEW;
END $$
"""
STANDS = """
CREATE FUNCTION refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% stands as it was written: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$
"""
#: At commit: what a decision promises to somebody in danger is on a list.
FOLLOWED = f"""
CREATE FUNCTION hold_follow_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{
    _rules(
        (
            "DEC-09",
            "this outcome opens a follow-up",
            "NEW.outcome IN ('safeguard', 'escalate', 'route_out') "
            "AND NOT EXISTS (SELECT FROM follow_ups WHERE decision_id = NEW.id)",
        )
    )
}
    RETURN NULL;
END $$
"""
#: Whether a second reader is needed is worked out here, never taken from the statement; and who read is looked up.
SECOND = f"""
CREATE FUNCTION hold_second_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.status IN ('approved', 'collected', 'recalled') THEN
        NEW.needs_second_reader := OLD.needs_second_reader;  -- it has left: what was asked of it then stands
        RETURN NEW;
    END IF;
    SELECT coalesce(d.referral ->> 'possible_child', 'unknown') <> 'no'
        OR 'VTH' = ANY (d.codes)
        OR j.contexts && ARRAY['artistic', 'news', 'counter_speech', 'grief']
    INTO STRICT NEW.needs_second_reader
    FROM decisions d JOIN judgements j ON j.id = d.judgement_id
    WHERE d.id = NEW.decision_id;
{
    _rules(
        (
            "CHI-02",
            "the second reader has not read it and agreed",
            "NEW.second_reader_id IS NOT NULL AND NOT EXISTS (SELECT FROM second_readings "
            "WHERE referral_id = NEW.id AND user_id = NEW.second_reader_id AND agrees)",
        )
    )
}
    RETURN NEW;
END $$
"""  # noqa: S608 -- no value of anybody's: all of it is written here
#: The first view of a second reader is blind, so it may not change once the decision was shown.
BLIND = """
CREATE FUNCTION hold_second_reading() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.agrees IS NOT NULL
        OR (OLD.referral_id, OLD.user_id, OLD.codes, OLD.speech_act, OLD.target, OLD.imminence, OLD.contexts,
            OLD.possible_child, OLD.read_at)
        IS DISTINCT FROM
           (NEW.referral_id, NEW.user_id, NEW.codes, NEW.speech_act, NEW.target, NEW.imminence, NEW.contexts,
            NEW.possible_child, NEW.read_at)
    THEN
        RAISE EXCEPTION 'a second reading stands as it was given' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""


def _lacks(kind: str, *steps: str) -> str:
    wanted = ", ".join(f"'{step}'" for step in steps)
    recorded = f"SELECT count(DISTINCT kind) FROM follow_up_steps WHERE follow_up_id = NEW.id AND kind IN ({wanted})"  # noqa: S608 -- as above
    return f"NEW.kind = '{kind}' AND NEW.ending = 'done' AND ({recorded}) < {len(steps)}"


CLOSED = f"""
CREATE FUNCTION hold_follow_up_ending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{
    _rules(
        (
            "LIFE-THREAT",
            "not every step of a threat to life is recorded",
            _lacks("life_threat", "control_room_phoned", "evidence_given", "supervisor_told", "followed_up"),
        ),
        ("SAFEGUARD", "nobody was told", _lacks("safeguard", "referred")),
        ("ROUTE-OUT", "nobody took it over", _lacks("route_out", "handed_over")),
    )
}
    IF TG_OP = 'UPDATE' AND OLD.ending IS NOT NULL THEN
        RAISE EXCEPTION 'this follow-up has ended' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""
FUNCTIONS = (
    ("hold_decision_rules", DECISION),
    ("refuse_update", STANDS),
    ("hold_follow_up", FOLLOWED),
    ("hold_second_person", SECOND),
    ("hold_second_reading", BLIND),
    ("hold_follow_up_ending", CLOSED),
)
TRIGGERS = (
    "CREATE TRIGGER decisions_rules BEFORE INSERT ON decisions FOR EACH ROW EXECUTE FUNCTION hold_decision_rules()",
    "CREATE TRIGGER decisions_stand BEFORE UPDATE ON decisions FOR EACH STATEMENT EXECUTE FUNCTION refuse_update()",
    "CREATE CONSTRAINT TRIGGER decisions_followed AFTER INSERT ON decisions DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION hold_follow_up()",
    "CREATE TRIGGER referrals_second_person BEFORE INSERT OR UPDATE ON referrals FOR EACH ROW "
    "EXECUTE FUNCTION hold_second_person()",
    "CREATE TRIGGER second_readings_stand BEFORE UPDATE ON second_readings FOR EACH ROW "
    "EXECUTE FUNCTION hold_second_reading()",
    "CREATE TRIGGER follow_ups_ending BEFORE INSERT OR UPDATE ON follow_ups FOR EACH ROW "
    "EXECUTE FUNCTION hold_follow_up_ending()",
    "CREATE TRIGGER follow_up_steps_stand BEFORE UPDATE OR DELETE ON follow_up_steps FOR EACH STATEMENT "
    "EXECUTE FUNCTION refuse_update()",
    "CREATE TRIGGER scrutiny_readings_stand BEFORE UPDATE ON scrutiny_readings FOR EACH STATEMENT "
    "EXECUTE FUNCTION refuse_update()",
    "CREATE TRIGGER scrutiny_samples_stand BEFORE UPDATE ON scrutiny_samples FOR EACH STATEMENT "
    "EXECUTE FUNCTION refuse_update()",
)
SENT = "status IN ('approved', 'collected', 'recalled')"
CODE_CHECKS = {
    "speech_act": "speech_act IN ('threat', 'incitement', 'taunt', 'claim', 'glorify', 'solicit_sell', 'recruit', 'instruct', 'dox', 'disclose_victimisation', 'grief', 'discuss_news', 'counter_speech', 'artistic', 'fiction_gaming', 'hyperbole_banter', 'unclear')",
    "target": "target IN ('named_or_identifiable_person', 'identifiable_small_group', 'place_or_event', 'rival_group_generic', 'none')",
    "imminence": "imminence IN ('imminent', 'near', 'unspecified', 'historic')",
    "possible_child": "possible_child IN ('yes', 'no', 'unknown')",
    "has_codes": "cardinality(codes) > 0",
}
OUTCOMES = "outcome IN ('no_violation', 'refer', 'safeguard', 'escalate', 'second_opinion', 'route_out', 'return')"


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.UUID(), server_default=sa.text("uuidv7()"), nullable=False)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _key(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}_{other}"))


def _texts() -> postgresql.ARRAY[str]:
    return postgresql.ARRAY(sa.Text())


def _second_person() -> None:
    op.add_column(
        "referrals", sa.Column("needs_second_reader", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("referrals", sa.Column("second_reader_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_referrals_second_reader_id_users"), "referrals", "users", ["second_reader_id"], ["id"]
    )
    op.drop_constraint(op.f("ck_referrals_status"), "referrals", type_="check")
    for name, condition in (
        ("status", "status IN ('pending_approval', 'approved', 'rejected', 'refused', 'collected', 'recalled')"),
        ("second_reader_is_not_reviewer", "second_reader_id <> reviewer_id"),
        ("second_reader_is_not_approver", "second_reader_id <> approver_id"),
        ("second_reader_is_not_submitter", "second_reader_id <> ALL (submitter_ids)"),
        (
            "sent_only_after_second_reading",
            f"NOT ({SENT}) OR NOT needs_second_reader OR second_reader_id IS NOT NULL",
        ),
    ):
        op.create_check_constraint(op.f(f"ck_referrals_{name}"), "referrals", condition)
    op.create_table(
        "second_readings",
        _id(),
        sa.Column("referral_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("codes", _texts(), nullable=False),
        sa.Column("speech_act", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("imminence", sa.Text(), nullable=False),
        sa.Column("contexts", _texts(), nullable=False),
        sa.Column("possible_child", sa.Text(), nullable=False),
        _time("read_at"),
        sa.Column("agrees", sa.Boolean(), nullable=True),
        sa.Column("reasons", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        *(_check("second_readings", name, condition) for name, condition in CODE_CHECKS.items()),
        _check("second_readings", "answered_at", "(agrees IS NULL) = (answered_at IS NULL)"),
        _check("second_readings", "has_reasons", "agrees IS NULL OR length(trim(reasons)) > 0"),
        _key("second_readings", "referral_id", "referrals"),
        _key("second_readings", "user_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_readings")),
        sa.UniqueConstraint("referral_id", "user_id", name=op.f("uq_second_readings_referral_id_user_id")),
    )


def _follow_ups() -> None:
    op.create_table(
        "follow_ups",
        _id(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("case_id", sa.UUID(), nullable=False),
        sa.Column("decision_id", sa.UUID(), nullable=False),
        sa.Column("possible_child", sa.Text(), nullable=False),
        sa.Column("band", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        _time("created_at"),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("reasons", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.UUID(), nullable=True),
        _check("follow_ups", "kind", "kind IN ('safeguard', 'life_threat', 'route_out')"),
        _check("follow_ups", "possible_child", CODE_CHECKS["possible_child"]),
        _check("follow_ups", "ending", "ending IS NULL OR ending IN ('done', 'no_further_action', 'handed_back')"),
        _check(
            "follow_ups",
            "closed",
            "(ending IS NULL) = (closed_at IS NULL) AND (ending IS NULL) = (closed_by IS NULL)",
        ),
        _check("follow_ups", "has_reasons", "ending IS NULL OR ending = 'done' OR length(trim(reasons)) > 0"),
        _check("follow_ups", "life_threat_is_done", "kind <> 'life_threat' OR ending IS NULL OR ending = 'done'"),
        _key("follow_ups", "case_id", "cases"),
        _key("follow_ups", "decision_id", "decisions"),
        _key("follow_ups", "closed_by", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_ups")),
        sa.UniqueConstraint("decision_id", name=op.f("uq_follow_ups_decision_id")),
    )
    op.create_index(op.f("ix_follow_ups_case_id"), "follow_ups", ["case_id"])
    op.create_index(
        "ix_follow_ups_open",
        "follow_ups",
        ["kind", "band", "due_at", "id"],
        postgresql_where=sa.text("ending IS NULL"),
    )
    op.create_table(
        "follow_up_steps",
        _id(),
        sa.Column("follow_up_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        _time("created_at"),
        _check(
            "follow_up_steps",
            "kind",
            "kind IN ('control_room_phoned', 'evidence_given', 'supervisor_told', 'followed_up', 'referred', 'answered', 'support_given', 'handed_over', 'note')",
        ),
        _check("follow_up_steps", "names_who_was_told", "kind = 'note' OR length(trim(told)) > 0"),
        _key("follow_up_steps", "follow_up_id", "follow_ups"),
        _key("follow_up_steps", "user_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_up_steps")),
    )
    op.create_index(op.f("ix_follow_up_steps_follow_up_id"), "follow_up_steps", ["follow_up_id"])


def _scrutiny() -> None:
    op.create_table(
        "scrutiny_samples",
        _id(),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False, start=1), nullable=False),
        sa.Column("drawn_by", sa.UUID(), nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("frame_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("frame_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("frame_size", sa.Integer(), nullable=False),
        sa.Column("frame_sha256", sa.Text(), nullable=False),
        _time("drawn_at"),
        _check("scrutiny_samples", "frame", "frame_from < frame_to"),
        _key("scrutiny_samples", "drawn_by", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scrutiny_samples")),
        sa.UniqueConstraint("number", name=op.f("uq_scrutiny_samples_number")),
    )
    op.create_table(
        "scrutiny_items",
        _id(),
        sa.Column("sample_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("decision_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["scrutiny_samples.id"], name=op.f("fk_scrutiny_items_sample_id_scrutiny_samples")
        ),
        _key("scrutiny_items", "decision_id", "decisions"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scrutiny_items")),
        sa.UniqueConstraint("sample_id", "position", name=op.f("uq_scrutiny_items_sample_id_position")),
        sa.UniqueConstraint("sample_id", "decision_id", name=op.f("uq_scrutiny_items_sample_id_decision_id")),
    )
    op.create_table(
        "scrutiny_readings",
        _id(),
        sa.Column("item_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("codes", _texts(), nullable=False),
        sa.Column("contexts", _texts(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=True),
        _time("created_at"),
        _check("scrutiny_readings", "outcome", OUTCOMES),
        _check("scrutiny_readings", "has_codes", CODE_CHECKS["has_codes"]),
        _key("scrutiny_readings", "item_id", "scrutiny_items"),
        _key("scrutiny_readings", "user_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scrutiny_readings")),
        sa.UniqueConstraint("item_id", "user_id", name=op.f("uq_scrutiny_readings_item_id_user_id")),
    )


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _second_person()
    _follow_ups()
    _scrutiny()
    for _, function in FUNCTIONS:
        op.execute(function)
    for trigger in TRIGGERS:
        op.execute(trigger)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for name, _ in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}() CASCADE")  # with its triggers
    for table in (
        "scrutiny_readings",
        "scrutiny_items",
        "scrutiny_samples",
        "follow_up_steps",
        "follow_ups",
        "second_readings",
    ):
        op.drop_table(table)
    for name in (
        "sent_only_after_second_reading",
        "second_reader_is_not_submitter",
        "second_reader_is_not_approver",
        "second_reader_is_not_reviewer",
        "status",
    ):
        op.drop_constraint(op.f(f"ck_referrals_{name}"), "referrals", type_="check")
    op.drop_constraint(op.f("fk_referrals_second_reader_id_users"), "referrals", type_="foreignkey")
    op.drop_column("referrals", "second_reader_id")
    op.drop_column("referrals", "needs_second_reader")
    op.execute("UPDATE referrals SET status = 'rejected' WHERE status = 'refused'")
    op.create_check_constraint(
        op.f("ck_referrals_status"),
        "referrals",
        "status IN ('pending_approval', 'approved', 'rejected', 'collected', 'recalled')",
    )
