-- One transaction and one round trip a record: the kindest form for PostgreSQL. @BODY@ is the record
-- in base64, decoded once, when the statement is planned.
WITH
sender AS (SELECT id FROM api_keys WHERE digest = sha256('bench') AND scope = 'write'),
record AS (
    INSERT INTO records (type, record_key, revision, received_at)
    SELECT 1, 'WO-' || nextval('sent'), 1, now() FROM sender
    ON CONFLICT (type, record_key)
    DO UPDATE SET revision = records.revision + 1, received_at = excluded.received_at
    RETURNING id, revision),
stored AS (
    INSERT INTO revisions (record, number, action, body)
    SELECT id, revision, 1, convert_from(decode('@BODY@', 'base64'), 'UTF8') FROM record)
INSERT INTO events (name, record, revision, at)
SELECT name, id, revision, now()
FROM record, unnest(ARRAY['workorder.created', 'employee.assigned', 'employee.assigned']) AS name
RETURNING sequence, record;
