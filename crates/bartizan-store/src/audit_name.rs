//! What devices, people and members are called that entries of the audit log are about: an entry has their ids alone, and a name
//! may change or go.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_model::DeviceId;

use crate::db::{Connection, Value, query_many};
use crate::{MemberId, PersonId, Sight, Store, StoreError, TenantScope};

impl Store {
    /// Returns the names of devices that are seen. What is gone or has none is left out.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn device_names(
        &self,
        sight: Sight,
        devices: BTreeSet<DeviceId>,
    ) -> Result<BTreeMap<DeviceId, String>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let devices = within.devices(db, scope, devices)?;
                let ids = devices.into_iter().map(|device| device.0.to_be_bytes());
                let found = names(
                    db,
                    scope,
                    ids,
                    ") SELECT d.device_id, d.device_name FROM k
                       JOIN device AS d ON d.tenant_id = k.tenant_id AND d.device_id = k.id",
                )?;
                let named = |(id, name)| (DeviceId(u128::from_be_bytes(id)), name);
                Ok(found.into_iter().map(named).collect())
            })
            .await
    }

    /// Returns the user names of people. Who is gone is left out.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn person_names(
        &self,
        scope: TenantScope,
        people: BTreeSet<PersonId>,
    ) -> Result<BTreeMap<PersonId, String>, StoreError> {
        self.db
            .read(scope, move |db| {
                let found = names(
                    db,
                    scope,
                    people.into_iter().map(PersonId::octets),
                    ") SELECT p.person_id, p.user_name FROM k
                       JOIN person AS p ON p.tenant_id = k.tenant_id AND p.person_id = k.id",
                )?;
                Ok(found.into_iter().map(|(id, name)| (PersonId::of(id), name)).collect())
            })
            .await
    }

    /// Returns the addresses of members. Who was erased is left out.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn member_addresses(
        &self,
        scope: TenantScope,
        members: BTreeSet<MemberId>,
    ) -> Result<BTreeMap<MemberId, String>, StoreError> {
        self.db
            .read(scope, move |db| {
                let found = names(
                    db,
                    scope,
                    members.into_iter().map(MemberId::column),
                    ") SELECT m.member_id, m.email FROM k
                       JOIN member AS m ON m.tenant_id = k.tenant_id AND m.member_id = k.id",
                )?;
                Ok(found.into_iter().map(|(id, name)| (MemberId::of_column(id), name)).collect())
            })
            .await
    }
}

fn names(
    db: &Connection,
    scope: TenantScope,
    ids: impl Iterator<Item = [u8; 16]>,
    select: &str,
) -> Result<Vec<([u8; 16], String)>, StoreError> {
    let keys: Vec<Vec<Value>> = ids.map(|id| vec![scope.id().into(), id.into()]).collect();
    let mut found = Vec::new();
    query_many(db, "WITH k (tenant_id, id) AS (", &keys, select, &[], |rows| {
        while let Some(row) = rows.next()? {
            found.push((row.get(0)?, row.get::<String>(1)?));
        }
        Ok(())
    })?;
    found.retain(|(_, name)| !name.is_empty());
    Ok(found)
}
