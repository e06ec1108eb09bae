//! Indicator file and tenant file as one: a question in, everything that matches out.

use std::net::IpAddr;

use bartizan_model::{DomainName, UnixMillis};

use crate::container::Damaged;
use crate::found::Found;
use crate::normal::{CanonicalUrl, Host};
use crate::{IndicatorFile, TenantFile};

/// What a device goes by. Either file may be missing.
#[derive(Debug, Default)]
pub struct Indicators {
    /// What feeds list.
    pub base: Option<IndicatorFile>,
    /// What the organization itself lists.
    pub tenant: Option<TenantFile>,
}

impl Indicators {
    /// Returns what is listed of a name: itself, and its parents.
    ///
    /// # Errors
    /// A file turned out to be damaged; replace it.
    pub fn lookup<'a>(
        &'a self,
        name: &'a DomainName,
        now: UnixMillis,
    ) -> Result<Option<Found<'a>>, Damaged> {
        let mut found = None;
        if let Some(tenant) = &self.tenant {
            tenant.find_name(name, now, &mut found)?;
        }
        if let Some(base) = &self.base {
            base.find_name(name, &mut found)?;
        }
        Ok(found)
    }

    /// Returns what is listed of a URL: its paths, and its host.
    ///
    /// # Errors
    /// A file turned out to be damaged; replace it.
    pub fn lookup_url<'a>(
        &'a self,
        url: &'a CanonicalUrl,
        now: UnixMillis,
    ) -> Result<Option<Found<'a>>, Damaged> {
        let mut found = match url.host() {
            Host::Name(name) => self.lookup(name, now)?,
            Host::Address(address) => self.lookup_ip(*address, now)?,
        };
        if let Some(tenant) = &self.tenant {
            tenant.find_paths(url, now, &mut found)?;
        }
        if let Some(base) = &self.base {
            base.find_paths(url, &mut found)?;
        }
        Ok(found)
    }

    /// Returns what is listed of an address: itself, and the networks that hold it.
    ///
    /// # Errors
    /// A file turned out to be damaged; replace it.
    pub fn lookup_ip(
        &self,
        address: IpAddr,
        now: UnixMillis,
    ) -> Result<Option<Found<'_>>, Damaged> {
        let (mut found, address) = (None, address.to_canonical());
        if let Some(tenant) = &self.tenant {
            tenant.find_address(address, now, &mut found)?;
        }
        if let Some(base) = &self.base {
            base.find_address(address, &mut found)?;
        }
        Ok(found)
    }
}
