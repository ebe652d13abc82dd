-- What one accepted record writes, as a PostgreSQL service would keep it: the revision, the record by
-- its key, its place in its type by time, the events.
CREATE TABLE api_keys (id bigserial PRIMARY KEY, digest bytea UNIQUE NOT NULL, scope text NOT NULL);
CREATE TABLE records (
    id bigserial PRIMARY KEY, type smallint NOT NULL, record_key text NOT NULL,
    revision int NOT NULL, received_at timestamptz NOT NULL, UNIQUE (type, record_key));
CREATE INDEX records_by_time ON records (type, received_at);
CREATE TABLE revisions (
    record bigint NOT NULL, number int NOT NULL, action smallint NOT NULL, body text NOT NULL,
    PRIMARY KEY (record, number));
CREATE TABLE events (
    sequence bigserial PRIMARY KEY, name text NOT NULL, record bigint NOT NULL, revision int NOT NULL,
    at timestamptz NOT NULL);
CREATE SEQUENCE sent; -- numbers the senders' records
INSERT INTO api_keys (digest, scope) VALUES (sha256('bench'), 'write');
