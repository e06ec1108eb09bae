//! Filter mode: the system hands over a connection or a URL, and obeys the verdict.
//!
//! For the content filter of supervised iPhones and iPads, which sees URLs of its browser and names of other
//! applications' connections, and carries the traffic itself. The same indicators, passes and alerts as in the tunnel.

use std::net::IpAddr;
use std::time::Instant;

use bartizan_indicators::normal::{CanonicalUrl, Host};
use bartizan_model::{DomainName, IndicatorAction, IndicatorCategory, UnixMillis};

use crate::verdict::Judgement;
use crate::{Engine, verdict};

/// What the system knows of a connection. What it does not know is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct FilteredFlow<'a> {
    /// The URL that a browser loads.
    pub url: Option<&'a str>,
    /// The name that the connection is for.
    pub host: Option<&'a str>,
    /// The address that it goes to.
    pub address: Option<IpAddr>,
}

/// What the system is to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowVerdict {
    /// Let it pass.
    Pass,
    /// Drop it, and say why.
    Drop {
        /// Why it is listed.
        category: IndicatorCategory,
        /// Whether the person may go on in spite of it ([`Engine::handle_pass`]).
        passable: bool,
    },
}

impl Engine {
    /// Judges what the system hands over; the most exact of what it knows decides.
    pub fn handle_flow(
        &mut self,
        flow: &FilteredFlow<'_>,
        wall: UnixMillis,
        now: Instant,
    ) -> FlowVerdict {
        let found = self.listed(flow, wall);
        let Some((judgement, host)) = found else { return FlowVerdict::Pass };
        let verdict = if judgement.stops() {
            FlowVerdict::Drop {
                category: judgement.category,
                passable: judgement.action == IndicatorAction::Warn
                    && self.may_pass(&judgement.matched),
            }
        } else {
            self.stats.audited += u64::from(judgement.detector.is_some());
            FlowVerdict::Pass
        };
        self.report(host, judgement, wall, now);
        verdict
    }
    fn listed(
        &mut self,
        flow: &FilteredFlow<'_>,
        wall: UnixMillis,
    ) -> Option<(Judgement, DomainName)> {
        if let Some(url) = flow.url.and_then(|url| CanonicalUrl::parse(url).ok()) {
            let judged = verdict::judge_url(&self.policy, &self.indicators, &url, wall);
            if let Some(judgement) = self.settled(judged, wall) {
                let host = match url.host() {
                    Host::Name(name) => name.clone(),
                    Host::Address(address) => DomainName::of_address(*address),
                };
                return Some((judgement, host));
            }
        }
        if let Some(name) = flow.host.and_then(|host| DomainName::parse(host.as_bytes()).ok())
            && let Some(judgement) = self.judge(&name, wall)
        {
            return Some((judgement, name));
        }
        let judgement = self.judge_address(flow.address?, wall)?;
        Some((judgement, DomainName::of_address(flow.address?)))
    }
}
