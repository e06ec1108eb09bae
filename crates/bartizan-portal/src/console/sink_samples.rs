//! Sample pages of sinks, for the tests over all pages.

use askama::Template;
use bartizan_model::{DeviceId, Private, RiskLevel, UnixMillis};
use bartizan_store::{DeadLetterRow, EventDevice, EventKind, EventRow, SinkId, SinkRow};

use super::{NewSinkPage, Pager, Shell, SinkForm, SinkPage, SinksPage};
use crate::out::exchange::Exchange;
use crate::out::settings::Channel;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const HOSTILE: &str = "<script>\u{202e}\"><img src=x>";

/// Every page in several states.
pub(super) fn pages(shell: &Shell) -> Vec<(&'static str, String)> {
    let sinks = |sinks| SinksPage { shell: shell.clone(), sinks, now: NOW }.render().unwrap();
    let fresh = SinkRow { failures: 0, dead: 0, last_success_at: None, ..row() };
    let good = SinkRow { failures: 0, dead: 0, ..row() };
    let dead = SinkRow { failures: 0, ..row() };
    let paused = SinkRow { paused: true, ..row() };
    let failing = SinkRow { failures: 1, ..row() };
    let mut pages = vec![
        ("sinks, none", sinks(Vec::new())),
        ("sinks", sinks(vec![row(), fresh, good, dead, paused, failing])),
        ("sink, which kind", new(shell, None)),
    ];
    for channel in Channel::ALL {
        let mut form = SinkForm::blank(channel, "https://portal.test");
        form.problems =
            vec![("name", HOSTILE.into()), ("url", HOSTILE.into()), ("kind", HOSTILE.into())];
        pages.push(("sink, new", new(shell, Some((channel, form)))));
        pages.push(("sink", one(shell, channel, None, None)));
    }
    let mut exchange = Exchange::kept();
    exchange.note("Connected to 192.0.2.1:443".into());
    exchange.us(HOSTILE);
    exchange.them(HOSTILE);
    let refused = Some((Some(HOSTILE.to_owned()), exchange.clone()));
    pages.push(("sink, tested", one(shell, Channel::Webhook, refused, None)));
    let taken = Some((None, exchange));
    pages.push((
        "sink, with a secret",
        one(shell, Channel::Webhook, taken, Some("whsec_AAAA".into())),
    ));
    pages
}

fn new(shell: &Shell, chosen: Option<(Channel, SinkForm)>) -> String {
    NewSinkPage { shell: shell.clone(), chosen, device_groups: Vec::new() }.render().unwrap()
}

fn one(
    shell: &Shell,
    channel: Channel,
    tested: Option<(Option<String>, Exchange)>,
    secret: Option<String>,
) -> String {
    let device = EventDevice {
        id: DeviceId(1),
        name: HOSTILE.into(),
        os: HOSTILE.into(),
        os_version: String::new(),
        app_version: String::new(),
        risk: RiskLevel::None,
        group: None,
        group_name: None,
    };
    let event = EventRow {
        seq: 9,
        at: NOW,
        kind: EventKind::DeviceEnrolled,
        detail: "{}".into(),
        device: Some(device),
        alert: None,
        incident: None,
    };
    let letter =
        DeadLetterRow { event, died_at: NOW, tries: 3, error: HOSTILE.into(), replay: true };
    let mut form = SinkForm::blank(channel, HOSTILE);
    form.pairs.push(("name".into(), HOSTILE.into()));
    let page = SinkPage {
        shell: shell.clone(),
        sink: SinkRow { kind: channel.word().into(), ..row() },
        channel,
        form,
        device_groups: Vec::new(),
        letters: if secret.is_some() { Vec::new() } else { vec![letter] },
        pager: Pager::default(),
        tested,
        secret,
        old_secret_until: Some(NOW),
        now: NOW,
    };
    page.render().unwrap()
}

fn row() -> SinkRow {
    SinkRow {
        id: SinkId(1),
        name: HOSTILE.into(),
        kind: "webhook".into(),
        settings: "{}".into(),
        secrets: Private(Vec::new()),
        paused: false,
        created_at: NOW,
        cursor: 1,
        urgent: 1,
        lag: 12_345,
        due_at: NOW,
        tries: 1,
        failures: 9,
        last_success_at: Some(NOW),
        last_failure_at: Some(NOW),
        last_error: HOSTILE.into(),
        delivered: 9,
        missed: 0,
        dead: 1,
        replays: false,
    }
}
