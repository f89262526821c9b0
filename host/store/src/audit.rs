//! The audit log, and requests that are made once.

use std::time::Duration;

use rusqlite::{Row, params};

use crate::error::Within;
use crate::runs::one_more;
use crate::sql::{Json, all, change, first, json, prefix_range};
use crate::store::Tx;
use crate::{
    AuditFilter, AuditRecord, Durability, IdempotencyClaim, IdempotencyKey, KeptAnswer, NewAudit,
    Page, PageRequest, Store, StoreError, Time,
};

/// How long a request's answer is kept.
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Writes an audit record within a change's transaction.
pub(crate) fn append(tx: &Tx<'_>, audit: &NewAudit) -> Within<i64> {
    change(
        tx,
        "INSERT INTO audit (id, at, actor, via, address, action, target, project, detail)
         VALUES (max((SELECT coalesce(max(id), 0) + 1 FROM audit),
                         (SELECT first FROM numbers WHERE name = 'audit')),
                 ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            tx.now,
            audit.actor,
            audit.via,
            audit.address,
            audit.action,
            audit.target,
            audit.project,
            Json(&audit.detail),
        ],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Writes which run a claimed request has made.
pub(crate) fn attach_run(tx: &Tx<'_>, claim: &IdempotencyKey, run: &str) -> Within<()> {
    let attached = change(
        tx,
        "UPDATE idempotency_keys SET run = ?3
         WHERE actor = ?1 AND key = ?2 AND status IS NULL",
        [&claim.actor, &claim.key, run],
    )?;
    if attached == 0 {
        return Err(StoreError::not_found("idempotency key", &claim.key).into());
    }
    Ok(())
}

impl Store {
    /// Writes an audit record of something that changes nothing else here.
    ///
    /// # Errors
    /// Those of every write.
    pub fn record_audit(&self, audit: &NewAudit) -> Result<i64, StoreError> {
        self.write(Durability::Process, |tx| append(tx, audit))
    }

    /// The audit records that fit `filter`, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a page that was not given out, and those of every read.
    pub fn audit(
        &self,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let limit = page.checked_limit()?;
        let before = page.number()?;
        let action = filter.action.as_ref().map(|action| {
            if action.ends_with('.') {
                prefix_range(action)
            } else {
                (action.clone(), action.clone())
            }
        });
        let (from, to) = action.unzip();
        self.read(|connection| {
            let found = all(
                connection,
                "SELECT * FROM audit WHERE (?1 IS NULL OR id < ?1)
                 AND (?2 IS NULL OR actor = ?2)
                 AND (?3 IS NULL OR action BETWEEN ?3 AND ?4)
                 AND (?5 IS NULL OR target = ?5)
                 AND (?6 IS NULL OR project IN (SELECT value FROM json_each(?6)))
                 AND (?7 IS NULL OR at >= ?7) AND (?8 IS NULL OR at < ?8)
                 ORDER BY id DESC LIMIT ?9",
                params![
                    before,
                    filter.actor,
                    from,
                    to,
                    filter.target,
                    filter.projects.as_ref().map(Json),
                    filter.since,
                    filter.until,
                    one_more(limit),
                ],
                record,
            )?;
            Ok(Page::cut(found, limit, |record| record.id.to_string()))
        })
    }

    /// Claims the request that a client gave a name, or says what is known of it.
    /// `digest` is of its body. Answers older than [`IDEMPOTENCY_KEPT`] are forgotten.
    ///
    /// # Errors
    /// Those of every write.
    pub fn claim_request(
        &self,
        key: &IdempotencyKey,
        route: &str,
        digest: &str,
    ) -> Result<IdempotencyClaim, StoreError> {
        self.write(Durability::Process, |tx| {
            change(
                tx,
                "DELETE FROM idempotency_keys WHERE created < ?1",
                [tx.now.minus(IDEMPOTENCY_KEPT)],
            )?;
            let known = first(
                tx,
                "SELECT route, request_digest, run, status, body, created, headers
                 FROM idempotency_keys WHERE actor = ?1 AND key = ?2",
                [&key.actor, &key.key],
                |row| {
                    let same =
                        row.get_ref(0)?.as_str()? == route && row.get_ref(1)?.as_str()? == digest;
                    let status: Option<u16> = row.get(3)?;
                    Ok(match status {
                        _ if !same => IdempotencyClaim::Mismatch,
                        None => IdempotencyClaim::InProgress {
                            run: row.get(2)?,
                            since: row.get(5)?,
                        },
                        Some(status) => IdempotencyClaim::Done(KeptAnswer {
                            status,
                            headers: json(row, "headers")?,
                            body: row.get::<_, Option<Vec<u8>>>(4)?.unwrap_or_default(),
                        }),
                    })
                },
            )?;
            if let Some(known) = known {
                return Ok(known);
            }
            change(
                tx,
                "INSERT INTO idempotency_keys (actor, key, route, request_digest, created)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![key.actor, key.key, route, digest, tx.now],
            )?;
            Ok(IdempotencyClaim::New)
        })
    }

    /// Records the answer of a claimed request.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it is not claimed or answered already, and those of
    /// every write.
    pub fn complete_request(
        &self,
        key: &IdempotencyKey,
        answer: &KeptAnswer,
    ) -> Result<(), StoreError> {
        self.write(Durability::Process, |tx| {
            let completed = change(
                tx,
                "UPDATE idempotency_keys SET status = ?3, body = ?4, headers = ?5
                 WHERE actor = ?1 AND key = ?2 AND status IS NULL",
                params![
                    key.actor,
                    key.key,
                    answer.status,
                    answer.body,
                    Json(&answer.headers)
                ],
            )?;
            if completed == 0 {
                return Err(StoreError::not_found("idempotency key", &key.key).into());
            }
            Ok(())
        })
    }

    /// Gives up the claim of a request that changed nothing, so that it can be made again.
    ///
    /// # Errors
    /// Those of every write.
    pub fn release_request(&self, key: &IdempotencyKey) -> Result<(), StoreError> {
        self.write(Durability::Process, |tx| {
            change(
                tx,
                "DELETE FROM idempotency_keys
                 WHERE actor = ?1 AND key = ?2 AND status IS NULL AND run IS NULL",
                [&key.actor, &key.key],
            )?;
            Ok(())
        })
    }

    /// Gives up the claims that nobody answers any more, because the host that made them
    /// before `started` is gone; those that made a run stay. Says how many.
    ///
    /// # Errors
    /// Those of every write.
    pub fn release_stale_requests(&self, started: Time) -> Result<usize, StoreError> {
        self.write(Durability::Process, |tx| {
            change(
                tx,
                "DELETE FROM idempotency_keys
                 WHERE status IS NULL AND run IS NULL AND created < ?1",
                [started],
            )
        })
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    Ok(AuditRecord {
        id: row.get("id")?,
        at: row.get("at")?,
        actor: row.get("actor")?,
        via: row.get("via")?,
        address: row.get("address")?,
        action: row.get("action")?,
        target: row.get("target")?,
        project: row.get("project")?,
        detail: json(row, "detail")?,
    })
}
