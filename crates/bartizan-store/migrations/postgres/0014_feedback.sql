-- 0014: what people say, at devices and at the console, and what is said to them.

CREATE TABLE feedback (
    tenant_id     BIGINT NOT NULL REFERENCES tenant (tenant_id),
    feedback_id   BYTEA    NOT NULL CHECK (length(feedback_id) = 16),
    device_id     BYTEA,              -- who said it: a device,
    member_id     BYTEA,              -- or a member
    text          TEXT    NOT NULL CHECK (text <> ''),
    mood          TEXT    NOT NULL,  -- a word; empty where none was given
    logs          BYTEA,              -- only where the person agreed
    app_version   TEXT    NOT NULL,
    page          TEXT    NOT NULL,  -- of the console; empty from devices
    sent_at_ms    BIGINT NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('New', 'Read', 'Answered', 'Closed')),
    status_at_ms  BIGINT NOT NULL,
    reply         TEXT    NOT NULL DEFAULT '',
    replied_at_ms BIGINT,
    PRIMARY KEY (tenant_id, feedback_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);

CREATE INDEX feedback_newest ON feedback (tenant_id, sent_at_ms, feedback_id);
CREATE INDEX feedback_status ON feedback (tenant_id, status, sent_at_ms, feedback_id);
CREATE INDEX feedback_device ON feedback (tenant_id, device_id, sent_at_ms);
CREATE INDEX feedback_member ON feedback (tenant_id, member_id, sent_at_ms);
