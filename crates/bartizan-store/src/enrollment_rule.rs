//! What an organization decides about enrollment: ways in, licenses, devices without a user, the oldest system.
//!
//! # Invariants
//! - Without a decision the portal works as one sets it up for oneself: licenses are not enforced, every way is open, and
//!   a device needs a user as soon as there are users.

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{fresh_id, ms, time, word};
use crate::db::{Connection, Optional, params};
use crate::enrollment::EnrollError;
use crate::{Attestation, NewDevice, PersonId, Store, StoreError, TenantScope};

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrollmentRule {
    /// Whether a person needs a license.
    pub licenses_enforced: bool,
    /// Whether a token that management or an administrator delivers lets in.
    pub allow_token: bool,
    /// Whether a code that a person types, or its QR picture, lets in.
    pub allow_code: bool,
    /// Whether a device may be nobody's.
    pub without_user: WithoutUser,
    /// The oldest iOS and iPadOS.
    pub minimum_ios: OsVersion,
    /// From then on what is older is refused; before, it is only told.
    pub minimum_from: UnixMillis,
    /// Days after which a person has to prove themselves again; 0 for never.
    pub sign_in_days: u32,
    /// Whether a device whose key nothing vouches for is refused.
    pub attestation_required: bool,
}

impl Default for EnrollmentRule {
    fn default() -> Self {
        Self {
            licenses_enforced: false,
            allow_token: true,
            allow_code: true,
            without_user: WithoutUser::Auto,
            minimum_ios: OsVersion(16, 0),
            minimum_from: UnixMillis(IOS_15_ENDED),
            sign_in_days: 0,
            attestation_required: false,
        }
    }
}

/// Whether a device may be nobody's, or everybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutUser {
    /// As long as there are no users.
    Auto,
    /// It may: shared devices.
    Allowed,
    /// It may not.
    Refused,
}

impl WithoutUser {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Allowed, Self::Refused];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }
}

/// A version of a system, as far as it counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OsVersion(pub u32, pub u32);

impl OsVersion {
    /// Reads `16` or `16.7.2`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().map_or(Some(0), |minor| minor.parse().ok())?;
        Some(Self(major, minor))
    }
}

impl std::fmt::Display for OsVersion {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}", self.0, self.1)
    }
}

/// Whether a system is one that is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OsSupport {
    /// It is.
    Supported,
    /// It will not be from the date of the rule on.
    Ending,
    /// It no longer is.
    Ended,
}

impl EnrollmentRule {
    /// Judges a system by what a device says of it. What cannot be read is not held against it.
    #[must_use]
    pub fn support(&self, os: &str, version: &str, now: UnixMillis) -> OsSupport {
        let is_apple = os.eq_ignore_ascii_case("iOS") || os.eq_ignore_ascii_case("iPadOS");
        let is_old = OsVersion::parse(version).is_some_and(|version| version < self.minimum_ios);
        if !is_apple || !is_old {
            OsSupport::Supported
        } else if now < self.minimum_from {
            OsSupport::Ending
        } else {
            OsSupport::Ended
        }
    }

    /// Whether the person of a device that enrolled then has to prove themselves again.
    #[must_use]
    pub fn wants_sign_in(&self, enrolled_at: UnixMillis, now: UnixMillis) -> bool {
        let for_ms = u64::from(self.sign_in_days).saturating_mul(86_400_000);
        self.sign_in_days != 0 && for_ms <= now.0.saturating_sub(enrolled_at.0)
    }
}

/// A device that could not enroll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalRow {
    /// When.
    pub at: UnixMillis,
    /// Why: a word of [`EnrollError`].
    pub reason: String,
    /// Whose it would have been, with the user name.
    pub person: Option<(PersonId, String)>,
    /// As it called itself.
    pub device_name: String,
    /// Its system and version.
    pub os: String,
}

impl Store {
    /// Returns what is decided.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn enrollment_rule(&self, scope: TenantScope) -> Result<EnrollmentRule, StoreError> {
        self.db.read(scope, move |db| of(db, scope)).await
    }

    /// Decides something else.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn set_enrollment_rule(
        &self,
        scope: TenantScope,
        rule: EnrollmentRule,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "INSERT INTO enrollment_rule (tenant_id, licenses_enforced, allow_token,
                         allow_code, without_user, minimum_ios, minimum_from_ms, sign_in_days,
                         attestation_required)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                     ON CONFLICT (tenant_id) DO UPDATE SET
                         licenses_enforced = excluded.licenses_enforced,
                         allow_token = excluded.allow_token, allow_code = excluded.allow_code,
                         without_user = excluded.without_user, minimum_ios = excluded.minimum_ios,
                         minimum_from_ms = excluded.minimum_from_ms,
                         sign_in_days = excluded.sign_in_days,
                         attestation_required = excluded.attestation_required",
                )?
                .execute(params![
                    scope.id(),
                    rule.licenses_enforced,
                    rule.allow_token,
                    rule.allow_code,
                    rule.without_user.word(),
                    rule.minimum_ios.to_string(),
                    ms(rule.minimum_from),
                    rule.sign_in_days,
                    rule.attestation_required,
                ])?;
                let event =
                    Event::new("enrollment-rule.change", "enrollment-rule", "").detail(json!({
                        "licenses_enforced": rule.licenses_enforced,
                        "allow_token": rule.allow_token,
                        "allow_code": rule.allow_code,
                        "without_user": rule.without_user.word(),
                        "minimum_ios": rule.minimum_ios.to_string(),
                        "minimum_from_ms": rule.minimum_from.0,
                        "sign_in_days": rule.sign_in_days,
                        "attestation_required": rule.attestation_required,
                    }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Lists devices that could not enroll, the latest first; at most [`MAX_REFUSALS`] are kept.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn refusals(
        &self,
        scope: TenantScope,
        limit: u32,
    ) -> Result<Vec<RefusalRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT r.at_ms, r.reason, r.person_id, p.user_name, r.device_name, r.os
                     FROM enrollment_refusal AS r
                     LEFT JOIN person AS p
                         ON p.tenant_id = r.tenant_id AND p.person_id = r.person_id
                     WHERE r.tenant_id = ?1 ORDER BY r.refusal_id DESC LIMIT ?2",
                )?;
                let rows = statement.query_map(params![scope.id(), limit], |row| {
                    let person: Option<[u8; 16]> = row.get(2)?;
                    Ok(RefusalRow {
                        at: time(row.get(0)?),
                        reason: row.get(1)?,
                        person: person.map(PersonId::of).zip(row.get(3)?),
                        device_name: row.get(4)?,
                        os: row.get(5)?,
                    })
                })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }
}

pub(crate) fn of(db: &Connection, scope: TenantScope) -> Result<EnrollmentRule, StoreError> {
    let row = db
        .prepare_cached(
            "SELECT licenses_enforced, allow_token, allow_code, without_user, minimum_ios,
                    minimum_from_ms, sign_in_days, attestation_required
             FROM enrollment_rule WHERE tenant_id = ?1",
        )?
        .query_row([scope.id()], |row| {
            let words: (String, String) = (row.get(3)?, row.get(4)?);
            let rule = EnrollmentRule {
                licenses_enforced: row.get(0)?,
                allow_token: row.get(1)?,
                allow_code: row.get(2)?,
                minimum_from: time(row.get(5)?),
                sign_in_days: row.get(6)?,
                attestation_required: row.get(7)?,
                ..EnrollmentRule::default()
            };
            Ok((rule, words))
        })
        .optional()?;
    let Some((rule, (without_user, minimum_ios))) = row else {
        return Ok(EnrollmentRule::default());
    };
    Ok(EnrollmentRule {
        without_user: word("without_user", &without_user, WithoutUser::from_word)?,
        minimum_ios: word("minimum_ios", &minimum_ios, OsVersion::parse)?,
        ..rule
    })
}

/// Whose a device is to be, as far as the rule asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody's; there may be users whose it could be.
    Nobody { has_users: bool },
    /// A person's.
    Person { is_active: bool, has_license: bool },
}

/// Refuses a device that the rule does not let in; `by_code` tells how it came. Returns what vouches for its key.
pub(crate) fn judge(
    rule: &EnrollmentRule,
    device: &NewDevice,
    owner: Owner,
    by_code: bool,
    now: UnixMillis,
) -> Result<Attestation, EnrollError> {
    let is_open = if by_code { rule.allow_code } else { rule.allow_token };
    if !is_open {
        return Err(EnrollError::WayClosed);
    }
    if rule.support(&device.os, &device.os_version, now) == OsSupport::Ended {
        return Err(EnrollError::OldSystem { minimum: rule.minimum_ios });
    }
    match owner {
        Owner::Nobody { has_users } => {
            let is_allowed = match rule.without_user {
                WithoutUser::Allowed => true,
                WithoutUser::Refused => false,
                WithoutUser::Auto => !device.is_shared && !has_users,
            };
            if !is_allowed {
                return Err(EnrollError::NoUser);
            }
        }
        Owner::Person { is_active, has_license } => {
            if device.is_shared && rule.without_user != WithoutUser::Allowed {
                return Err(EnrollError::NoUser);
            }
            if !is_active {
                return Err(EnrollError::InactiveUser);
            }
            if rule.licenses_enforced && !has_license {
                return Err(EnrollError::NoLicense);
            }
        }
    }
    vouched(rule, device)
}

/// What was sent and does not hold is refused, whatever the rule: it is no attestation that is absent.
fn vouched(rule: &EnrollmentRule, device: &NewDevice) -> Result<Attestation, EnrollError> {
    match &device.attestation {
        Err(reason) => Err(EnrollError::BadAttestation { reason: reason.clone() }),
        Ok(Attestation::None) if rule.attestation_required => Err(EnrollError::NoAttestation),
        Ok(attestation) => Ok(*attestation),
    }
}

/// Notes a device that was refused, and forgets the oldest such notes.
pub(crate) fn note_refusal(
    db: &Connection,
    scope: TenantScope,
    device: &NewDevice,
    owner: Option<PersonId>,
    reason: &str,
    now: UnixMillis,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO enrollment_refusal (tenant_id, refusal_id, at_ms, reason, person_id,
                                         device_name, os)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        scope.id(),
        fresh_id(now)?,
        ms(now),
        reason,
        owner.map(PersonId::octets),
        device.device_name,
        format!("{} {}", device.os, device.os_version),
    ])?;
    db.prepare_cached(
        "DELETE FROM enrollment_refusal WHERE tenant_id = ?1 AND refusal_id IN (
             SELECT refusal_id FROM enrollment_refusal WHERE tenant_id = ?1
             ORDER BY refusal_id DESC LIMIT 100 OFFSET ?2)",
    )?
    .execute(params![scope.id(), MAX_REFUSALS])?;
    Ok(())
}

/// Whether there are users whose a device could be.
pub(crate) fn has_users(db: &Connection, scope: TenantScope) -> Result<bool, StoreError> {
    let statement = db.prepare_cached("SELECT 1 FROM person WHERE tenant_id = ?1 LIMIT 1")?;
    Ok(statement.exists([scope.id()])?)
}

/// 2025-01-31, when the product that this one answers ceased to support iOS 15.
const IOS_15_ENDED: u64 = 1_738_281_600_000;
/// Notes of refused devices.
const MAX_REFUSALS: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_systems_end_on_their_day() {
        let rule = EnrollmentRule::default();
        let day_before = UnixMillis(IOS_15_ENDED - 86_400_000);
        let check = |os, version, now, expected| {
            assert_eq!(rule.support(os, version, now), expected, "{os} {version}");
        };
        check("iOS", "15.8.3", day_before, OsSupport::Ending);
        check("iOS", "15.8.3", UnixMillis(IOS_15_ENDED), OsSupport::Ended);
        check("iPadOS", "9", UnixMillis(IOS_15_ENDED), OsSupport::Ended);
        check("iOS", "16.0", UnixMillis(IOS_15_ENDED), OsSupport::Supported);
        check("ios", "100.1", UnixMillis(IOS_15_ENDED), OsSupport::Supported);
        check("Linux", "6.1", UnixMillis(IOS_15_ENDED), OsSupport::Supported);
        check("iOS", "unknown", UnixMillis(IOS_15_ENDED), OsSupport::Supported);
    }

    #[test]
    fn a_person_proves_themselves_again_after_so_many_days() {
        let rule = EnrollmentRule { sign_in_days: 30, ..EnrollmentRule::default() };
        let day = 86_400_000;
        assert!(!rule.wants_sign_in(UnixMillis(0), UnixMillis(30 * day - 1)));
        assert!(rule.wants_sign_in(UnixMillis(0), UnixMillis(30 * day)));
        assert!(!EnrollmentRule::default().wants_sign_in(UnixMillis(0), UnixMillis(9_999 * day)));
    }
}
