//! What of a page of events goes into which message, and what is left out: pure.
//!
//! # Invariants
//! - Messages and what is left out lie in the order of the events, and together reach to the page's end.

use bartizan_model::Severity;
use bartizan_store::EventKind;

use super::settings::{Channel, Settings, Way};
use super::told::Told;

/// What is sent together, and where the cursor stands afterwards.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// What it tells; nothing where all up to `upto` is left out.
    pub(crate) events: Vec<Told>,
    /// The last event that is dealt with.
    pub(crate) upto: u64,
}

/// What the hour is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hours {
    /// All is told; what is urgent has been up to here already.
    Open {
        /// An event's place.
        urgent: u64,
    },
    /// Only what is urgent is told.
    Quiet,
}

/// Divides a page of events into messages.
pub(crate) fn plan(
    channel: Channel,
    settings: &Settings,
    hours: Hours,
    page: Vec<Told>,
) -> Vec<Message> {
    let together = match channel.way() {
        Way::Syslog => true,
        Way::Http | Way::Mail => channel.is_for_people() && 0 < settings.digest_minutes,
    };
    let mut messages: Vec<Message> = Vec::new();
    for told in page {
        let seq = told.seq;
        let is_told = is_wanted(settings, &told)
            && match hours {
                Hours::Open { urgent } => !(seq <= urgent && is_urgent(&told)),
                Hours::Quiet => is_urgent(&told),
            };
        match messages.last_mut() {
            // What is left out goes with what comes before it.
            Some(last) if !is_told => last.upto = seq,
            Some(last) if together || last.events.is_empty() => {
                last.events.push(told);
                last.upto = seq;
            }
            Some(_) | None => {
                let events = if is_told { vec![told] } else { Vec::new() };
                messages.push(Message { events, upto: seq });
            }
        }
    }
    messages
}

/// Whether a sink is told of an event.
fn is_wanted(settings: &Settings, told: &Told) -> bool {
    let is_there = match told.kind {
        EventKind::AlertRaised | EventKind::AlertRepeated | EventKind::AlertChanged => {
            told.alert.is_some()
        }
        EventKind::IncidentOpened => told.incident.is_some(),
        EventKind::RiskChanged | EventKind::DeviceEnrolled | EventKind::DeviceOffboarded => {
            told.device.is_some()
        }
        EventKind::Audit => true,
    };
    let is_bad_enough = told.severity().is_none_or(|severity| settings.least() <= severity);
    // What is about no device is the whole organization's.
    let is_of_group = settings.groups.is_empty()
        || told.device.as_ref().is_none_or(|device| {
            let group = device.group.map(|group| group.to_string());
            group.is_some_and(|group| settings.groups.contains(&group))
        });
    is_there && settings.tells(told.kind) && is_bad_enough && is_of_group
}

/// Whether somebody is to be woken.
fn is_urgent(told: &Told) -> bool {
    told.severity() == Some(Severity::High)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::out::samples::{raised, settings};

    #[test]
    fn each_event_is_a_message_and_what_is_left_out_goes_along() {
        let settings = settings(&["alert.raised"], "Medium");
        let page = vec![
            raised(1, Severity::Low),
            raised(2, Severity::High),
            raised(3, Severity::Low),
            raised(4, Severity::Medium),
        ];
        check(Channel::Webhook, &settings, OPEN, page.clone(), &[(&[2], 3), (&[4], 4)]);
        check(Channel::SyslogCef, &settings, OPEN, page.clone(), &[(&[2, 4], 4)]);
        check(Channel::Slack, &settings, OPEN, page.clone(), &[(&[2], 3), (&[4], 4)]);
        let digest = Settings { digest_minutes: 5, ..settings.clone() };
        check(Channel::Slack, &digest, OPEN, page.clone(), &[(&[2, 4], 4)]);
        check(Channel::Webhook, &digest, OPEN, page.clone(), &[(&[2], 3), (&[4], 4)]);
        check(Channel::Email, &settings, Hours::Quiet, page.clone(), &[(&[2], 4)]);
        check(Channel::Email, &settings, Hours::Open { urgent: 3 }, page, &[(&[4], 4)]);
        let low = vec![raised(1, Severity::Low)];
        check(Channel::Webhook, &settings, OPEN, low, &[(&[], 1)]);
        check(Channel::Webhook, &settings, OPEN, Vec::new(), &[]);
    }

    #[test]
    fn groups_narrow_to_their_devices() {
        let group = "0192f3a4-b5c6-7d8e-9f00-112233445566";
        let narrow = |groups: &[&str]| Settings {
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..settings(&["alert.raised", "incident.opened"], "Low")
        };
        let mut of_group = raised(1, Severity::High);
        of_group.device.as_mut().unwrap().group = group.parse().ok();
        let mut of_none = raised(2, Severity::High);
        of_none.device.as_mut().unwrap().group = None;
        let mut of_all = raised(3, Severity::High);
        of_all.device = None;
        let page = vec![of_group, of_none, of_all];
        check(Channel::SyslogCef, &narrow(&[group]), OPEN, page.clone(), &[(&[1, 3], 3)]);
        check(Channel::SyslogCef, &narrow(&[]), OPEN, page, &[(&[1, 2, 3], 3)]);
    }

    #[test]
    fn what_is_gone_is_not_told() {
        let mut gone = raised(1, Severity::High);
        gone.alert = None;
        check(Channel::Webhook, &settings(&["alert.raised"], ""), OPEN, vec![gone], &[(&[], 1)]);
    }

    const OPEN: Hours = Hours::Open { urgent: 0 };

    #[track_caller]
    fn check(
        channel: Channel,
        settings: &Settings,
        hours: Hours,
        page: Vec<Told>,
        expected: &[(&[u64], u64)],
    ) {
        let messages = plan(channel, settings, hours, page);
        let found: Vec<(Vec<u64>, u64)> = messages
            .iter()
            .map(|message| (message.events.iter().map(|told| told.seq).collect(), message.upto))
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(events, upto)| (events.to_vec(), *upto)).collect();
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn every_event_is_dealt_with_once_in_order(
            severities in proptest::collection::vec(0..4_usize, 0..40),
            channel in 0..Channel::ALL.len(),
            digest in 0..2_u32,
        ) {
            let settings = Settings { digest_minutes: digest, ..settings(&["alert.raised"], "Medium") };
            let page: Vec<_> =
                (1..).zip(&severities).map(|(seq, at)| raised(seq, Severity::ALL[*at])).collect();
            let wanted: Vec<_> = page
                .iter()
                .filter(|told| Some(Severity::Medium) <= told.severity())
                .map(|told| told.seq)
                .collect();
            let last = page.last().map(|told| told.seq);
            let messages = plan(Channel::ALL[channel], &settings, OPEN, page);
            let told: Vec<_> =
                messages.iter().flat_map(|message| message.events.iter().map(|told| told.seq)).collect();
            prop_assert_eq!(told, wanted);
            prop_assert!(messages.is_sorted_by_key(|message| message.upto));
            prop_assert_eq!(messages.last().map(|message| message.upto), last);
        }
    }
}
