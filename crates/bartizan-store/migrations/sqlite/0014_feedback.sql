-- 0014: what people say, at devices and at the console, and what is said to them.

CREATE TABLE feedback (
    tenant_id     INTEGER NOT NULL REFERENCES tenant (tenant_id),
    feedback_id   BLOB    NOT NULL CHECK (length(feedback_id) = 16),
    device_id     BLOB,              -- who said it: a device,
    member_id     BLOB,              -- or a member
    text          TEXT    NOT NULL CHECK (text <> ''),
    mood          TEXT    NOT NULL,  -- a word; empty where none was given
    logs          BLOB,              -- only where the person agreed
    app_version   TEXT    NOT NULL,
    page          TEXT    NOT NULL,  -- of the console; empty from devices
    sent_at_ms    INTEGER NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('New', 'Read', 'Answered', 'Closed')),
    status_at_ms  INTEGER NOT NULL,
    reply         TEXT    NOT NULL DEFAULT '',
    replied_at_ms INTEGER,
    PRIMARY KEY (tenant_id, feedback_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, device_id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
) STRICT;

CREATE INDEX feedback_newest ON feedback (tenant_id, sent_at_ms, feedback_id);
CREATE INDEX feedback_status ON feedback (tenant_id, status, sent_at_ms, feedback_id);
CREATE INDEX feedback_device ON feedback (tenant_id, device_id, sent_at_ms);
CREATE INDEX feedback_member ON feedback (tenant_id, member_id, sent_at_ms);
