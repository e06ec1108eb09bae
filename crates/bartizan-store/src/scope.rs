//! Proof that somebody may act for a tenant, and who that is.

use std::net::IpAddr;

use bartizan_model::{DeviceId, TenantId};
use uuid::Uuid;

use crate::audit::hex;
use crate::{ApplicationId, MemberId, ScimTokenId};

/// Whose rows a call may touch, and for whom. Only the store makes one, for someone whose credential it has found.
///
/// Two are equal where they reach the same rows.
#[derive(Clone, Copy, Debug)]
pub struct TenantScope {
    tenant: TenantId,
    actor: Actor,
    request: Option<[u8; 8]>,
    address: Option<IpAddr>,
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The portal, by itself.
    Portal,
    /// Whoever can open the database.
    CommandLine,
    /// A member with a session, or who is signing in.
    Member(MemberId),
    /// A device.
    Device(DeviceId),
    /// A directory, by its token.
    Directory(ScimTokenId),
    /// A program that calls the API.
    Application(ApplicationId),
    /// An operator of the installation, from outside the tenant.
    Operator(MemberId),
}

impl Actor {
    /// Its kind in a word, as the audit log has it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Portal => "portal",
            Self::CommandLine => "command-line",
            Self::Member(_) => "member",
            Self::Device(_) => "device",
            Self::Directory(_) => "directory",
            Self::Application(_) => "application",
            Self::Operator(_) => "operator",
        }
    }

    /// Its id, empty where there is only one.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::Portal | Self::CommandLine => String::new(),
            Self::Member(member) | Self::Operator(member) => member.to_string(),
            Self::Device(device) => Uuid::from_u128(device.0).to_string(),
            Self::Directory(token) => token.to_string(),
            Self::Application(application) => application.to_string(),
        }
    }
}

impl TenantScope {
    pub(crate) fn new(tenant: i64) -> Self {
        Self { tenant: TenantId(tenant), actor: Actor::Portal, request: None, address: None }
    }

    /// The same rows, for somebody else.
    pub(crate) fn by(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// For the same request, another tenant's rows.
    pub(crate) fn at(self, tenant: i64) -> Self {
        Self { tenant: TenantId(tenant), ..self }
    }

    /// Notes which request this is for and where it came from, for the audit log.
    #[must_use]
    pub fn during(self, request: [u8; 8], address: IpAddr) -> Self {
        Self { request: Some(request), address: Some(address), ..self }
    }

    /// Returns the tenant's id, for logs and tokens.
    #[must_use]
    pub fn tenant_id(self) -> TenantId {
        self.tenant
    }

    /// Returns who acts.
    #[must_use]
    pub fn actor(self) -> Actor {
        self.actor
    }

    /// In hexadecimal, as the log has it; empty where there is none.
    pub(crate) fn request_id(self) -> String {
        self.request.map_or_else(String::new, |octets| hex(&octets))
    }

    pub(crate) fn address(self) -> Option<IpAddr> {
        self.address
    }

    /// The value of `tenant_id`.
    pub(crate) fn id(self) -> i64 {
        self.tenant.0
    }
}

impl PartialEq for TenantScope {
    fn eq(&self, other: &Self) -> bool {
        self.tenant == other.tenant
    }
}

impl Eq for TenantScope {}
