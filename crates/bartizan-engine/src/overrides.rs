//! A person goes on in spite of a warning: what that takes, and what follows.
//!
//! Only what warns can be passed, and only where policy lets it; what blocks stays blocked. A pass is put on disk by the
//! host and raises `web.phishing.overridden`. While it lasts, the entry is taken as not listed: other entries, such as
//! one that lists an alias, still stop.

use std::time::Instant;

use bartizan_indicators::Damaged;
use bartizan_model::{Detector, DomainName, IndicatorAction, MatchedIndicator, UnixMillis};

use crate::passes::{Granted, Lister, NotPassed, Passes, is_passable};
use crate::sightings::Sighting;
use crate::verdict::{self, Judgement};
use crate::{Engine, Output};

impl Engine {
    /// Lets a person who has been warned of a name go on.
    ///
    /// # Errors
    /// Why not.
    pub fn handle_pass(
        &mut self,
        name: &DomainName,
        wall: UnixMillis,
        now: Instant,
    ) -> Result<Granted, NotPassed> {
        let judgement = match verdict::judge(&self.policy, &self.indicators, name, wall) {
            Ok(judgement) => judgement.ok_or(NotPassed::NotListed)?,
            Err(Damaged) => {
                self.stats.indicators_damaged += 1;
                self.drop_damaged();
                return Err(NotPassed::NotListed);
            }
        };
        match judgement.action {
            IndicatorAction::Allow | IndicatorAction::Audit => Err(NotPassed::NotListed),
            IndicatorAction::Block => Err(NotPassed::Blocked),
            IndicatorAction::Warn if !self.may_pass(&judgement.matched) => {
                Err(NotPassed::NotAllowed)
            }
            IndicatorAction::Warn => {
                self.pass(name.clone(), judgement.matched.clone(), wall, now);
                Ok(Granted { matched: judgement.matched, hours: self.policy.warn_pass_hours })
            }
        }
    }

    /// Takes back the passes that the host kept.
    pub fn restore_passes(&mut self, passes: Passes) {
        self.passes = passes;
    }

    /// Tells whether policy lets a person go on in spite of a warning by this.
    pub(crate) fn may_pass(&self, matched: &MatchedIndicator) -> bool {
        0 < self.policy.warn_pass_hours && is_passable(matched)
    }

    /// Tells whether a person has passed what decided.
    pub(crate) fn is_passed(&self, judgement: &Judgement, wall: UnixMillis) -> bool {
        let matched = &judgement.matched;
        judgement.action == IndicatorAction::Warn
            && self.passes.is_passed(
                &matched.entry,
                Lister::from(&matched.source),
                wall,
                self.policy.warn_pass_hours,
            )
    }

    /// Grants a pass to whoever has been warned of a host, has it put on disk, and raises the alert.
    pub(crate) fn pass(
        &mut self,
        host: DomainName,
        matched: MatchedIndicator,
        wall: UnixMillis,
        now: Instant,
    ) {
        self.passes.grant(&matched, wall);
        self.outputs.push_back(Output::Passes(self.passes.snapshot().cloned().collect()));
        let seen = Sighting {
            detector: Detector::WebPhishingOverridden,
            host,
            matched,
            action: IndicatorAction::Warn,
            first_seen: wall,
            last_seen: wall,
            count: 1,
            indicator_epoch: self.indicator_epoch().unwrap_or(0),
        };
        for sighting in self.sightings.record(seen, now).into_iter().flatten() {
            self.raise(sighting, wall, now);
        }
    }
}
