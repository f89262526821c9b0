-- Kept answers have headers: what was kept without them had these.
ALTER TABLE idempotency_keys ADD COLUMN headers TEXT NOT NULL DEFAULT '{}';
UPDATE idempotency_keys SET headers = CASE
    WHEN status >= 400 THEN '{"content-type":"application/problem+json"}'
    ELSE '{"content-type":"application/json"}'
END WHERE length(body) > 0;
