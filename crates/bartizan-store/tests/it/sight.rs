//! What members see whose roles are limited to device groups: nothing of other devices, by whatever way they ask.

use std::time::Duration;

use bartizan_model::{AlertStatus, DeviceId, UnixMillis};
use bartizan_store::{
    AlertChoice, AlertFilter, AlertJobState, AlertKey, AlertUpdate, BuiltIn, DeviceFilter,
    DeviceValue, FeedbackStatus, GroupId, GroupRules, Guard, IncidentEdit, IncidentId, ItemOutcome,
    JobStep, MemberId, MergeError, NewFeedback, NewMember, NewRole, NewSession, Permission,
    Permissions, Rule, RuleField, RuleOperator, Sight, SignInMethod, SiteReportStatus,
    StatusFilter, StoreError, SuppressionScope, SuppressionTerms,
};

use super::tenancy::site_report;
use crate::world::{DAY, NOW, World, alert, enroll};

/// Three devices: one in the group that an analyst sees, one in another, and one in none.
struct Split {
    world: World,
    member: MemberId,
    /// By the group that the analyst sees, another, and none.
    devices: [DeviceId; 3],
    alerts: [AlertKey; 3],
    groups: [GroupId; 2],
}

const NAMES: [&str; 3] = ["inside", "outside", "nowhere"];

impl Split {
    async fn new() -> Self {
        let world = World::new().await;
        let (store, acme) = (&world.store, world.acme);
        let devices =
            [acme.device, enroll(store, acme.scope, 11).await, enroll(store, acme.scope, 12).await];
        let mut groups = Vec::new();
        for (device, name) in devices.into_iter().zip(&NAMES[..2]) {
            let tag = (*name).to_owned();
            store.add_tag(acme.scope.whole(), device, tag, String::new(), NOW).await.unwrap();
            let rule = Rule {
                field: RuleField::Tag,
                operator: RuleOperator::Equals,
                value: (*name).into(),
            };
            let rules = GroupRules { rules: vec![rule], ..GroupRules::default() };
            groups.push(
                store.create_device_group(acme.scope, (*name).into(), rules, NOW).await.unwrap(),
            );
        }
        while store.regroup_some(acme.scope, 10).await.unwrap() {}
        // The first two are of one incident: the same host at about the same time.
        for (number, device) in (1..).zip(devices) {
            let host = if number == 3 { "other.test" } else { "evil.test" };
            let batch = vec![alert(number, host, 0)];
            store.ingest_alerts(acme.scope, device, batch, NOW).await.unwrap();
            store.add_site_report(acme.scope, device, site_report(number), NOW).await.unwrap();
        }
        let rows = store.alerts(acme.scope.whole(), AlertFilter::default(), None, 9).await.unwrap();
        let key = |device| rows.iter().find(|row| row.device == device).unwrap().key;
        let alerts = devices.map(key);
        let role = NewRole {
            name: "Analyst of one group".into(),
            description: String::new(),
            permissions: Permissions::of(&Permission::ALL),
            device_groups: Some(vec![groups[0].to_string()]),
        };
        let role = store.create_role(acme.scope, role, NOW).await.unwrap();
        let member = member(&world, "part@acme.test", vec![role]).await;
        let groups = [groups[0], groups[1]];
        Self { member, devices, alerts, groups, world }
    }

    async fn sight(&self, permission: Permission) -> Sight {
        sight(&self.world, self.member, permission).await
    }
}

pub(super) async fn member(world: &World, email: &str, roles: Vec<String>) -> MemberId {
    let member = NewMember {
        email: email.into(),
        password_hash: bartizan_model::Private("hash".into()),
        one_time_expires_at: NOW,
        roles,
    };
    world.store.invite_member(world.acme.scope, member, NOW).await.unwrap()
}

pub(super) async fn sight(world: &World, member: MemberId, permission: Permission) -> Sight {
    let token_hash = [7; 32];
    let session = NewSession {
        member,
        token_hash,
        expires_at: UnixMillis(NOW.0 + DAY),
        agent: String::new(),
        method: SignInMethod::Password,
        vouched: None,
    };
    let idle = Duration::from_secs(60);
    if world.store.session(token_hash, idle, NOW).await.unwrap().is_none() {
        world.store.create_session(world.acme.scope, session, NOW).await.unwrap();
    }
    let row = world.store.session(token_hash, idle, NOW).await.unwrap().unwrap();
    assert_eq!(row.member, member);
    row.sight(permission)
}

#[tokio::test]
async fn lists_and_counts_take_in_what_is_inside_alone() {
    let split = Split::new().await;
    let (store, acme) = (&split.world.store, split.world.acme);
    let sight = split.sight(Permission::ViewData).await;
    assert!(!sight.is_whole());
    let all = AlertFilter::default();

    let devices = store.devices(sight, DeviceFilter::default(), None, 9).await.unwrap();
    assert_eq!(devices.iter().map(|row| row.id).collect::<Vec<_>>(), [split.devices[0]]);
    let named = store.device_names(sight, split.devices.iter().copied().collect()).await.unwrap();
    assert_eq!(named.into_keys().collect::<Vec<_>>(), [split.devices[0]]);
    let alerts = store.alerts(sight, all, None, 9).await.unwrap();
    assert_eq!(alerts.iter().map(|row| row.key).collect::<Vec<_>>(), [split.alerts[0]]);
    let unresolved = store.unresolved_alerts(sight).await.unwrap();
    assert_eq!(
        [unresolved.high, unresolved.medium, unresolved.low, unresolved.informational]
            .iter()
            .sum::<u64>(),
        1
    );
    let stopped = store.stopped_hosts(sight, UnixMillis(0), 9).await.unwrap().hosts;
    let stopped: Vec<_> = stopped.iter().map(|one| (one.host.as_str(), one.devices)).collect();
    assert_eq!(stopped, [("evil.test", 1)]);
    for filter in [
        all,
        AlertFilter { status: StatusFilter::Unresolved, ..all },
        AlertFilter { incident: alerts[0].incident, ..all },
    ] {
        assert_eq!(store.alerts_matching(sight, filter).await.unwrap(), 1, "{filter:?}");
    }
    let outside = AlertFilter { device: Some(split.devices[1]), ..all };
    assert_eq!(store.alerts_matching(sight, outside).await.unwrap(), 0);
    assert_eq!(store.alerts(sight, outside, None, 9).await.unwrap(), []);

    let tally = store.tally(sight, NOW).await.unwrap();
    assert_eq!((tally.devices, tally.never_checked_in, tally.open_incidents), (1, 1, 1));
    assert_eq!(tally.by_risk().map(|(_, many)| many).sum::<u64>(), 1);
    let incidents = store.incidents(sight, true, None, 9).await.unwrap();
    let counts: Vec<_> = incidents.iter().map(|row| (row.alerts, row.unresolved)).collect();
    assert_eq!(counts, [(1, 1)]);
    let whole = store.incident(acme.scope.whole(), incidents[0].id).await.unwrap();
    assert_eq!((whole.alerts, whole.severity), (2, incidents[0].severity));
    let after = Some(incidents[0].cursor());
    assert_eq!(store.incidents(sight, false, after, 9).await.unwrap(), []);

    let groups = store.device_groups(sight).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.devices).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(store.device_group(sight, split.groups[1]).await.unwrap().devices, 0);
    let everything = GroupRules::default();
    assert!(store.devices_that_match(sight, everything).await.unwrap() <= 1);
    let progress = store.policy_progress(sight).await.unwrap();
    assert_eq!(progress.current + progress.behind + progress.without, 1);
    let uses = store.policy_uses(sight, 9).await.unwrap();
    assert_eq!(uses.iter().map(|one| one.devices).sum::<u64>(), 1);
    let reports = store.site_reports(sight, None, 9).await.unwrap();
    assert_eq!(reports.iter().map(|row| row.device).collect::<Vec<_>>(), [split.devices[0]]);
    let hits = store.top_hits(sight, "list", 9).await.unwrap();
    let hits: Vec<_> = hits.iter().map(|hit| (hit.pattern.as_str(), hit.hits)).collect();
    assert_eq!(hits, [("evil.test", 1)]);
    let asked = vec!["evil.test".to_owned(), "other.test".to_owned()];
    assert_eq!(store.hits_of(sight, "list", asked).await.unwrap().len(), 1);
    let terms = SuppressionTerms {
        scope: SuppressionScope::All,
        detector: None,
        host: String::new(),
        reason: "quiet".into(),
        expires_at: None,
    };
    let preview = store.preview_suppression(sight, terms, UnixMillis(0)).await.unwrap();
    assert_eq!((preview.matching, preview.of), (1, 1));
}

#[tokio::test]
async fn what_is_outside_is_not_found_and_not_changed() {
    let split = Split::new().await;
    let (store, acme) = (&split.world.store, split.world.acme);
    let sight = split.sight(Permission::AlertsInvestigation).await;
    let say = NewFeedback {
        id: None,
        text: "slow".into(),
        mood: String::new(),
        logs: None,
        app_version: String::new(),
        page: String::new(),
    };
    for device in split.devices {
        let scope = store.device_of_token(acme.tenant, device).await.unwrap().scope;
        store.add_feedback(scope, say.clone(), NOW).await.unwrap();
    }
    let said = store.feedback_list(acme.scope.whole(), None, None, 9).await.unwrap();
    let heard = store.feedback_list(sight, None, None, 9).await.unwrap();
    assert_eq!((said.len(), heard.len()), (3, 1));

    for (place, name) in (0..).zip(NAMES) {
        let is_inside = place == 0;
        let (device, key) = (split.devices[place], split.alerts[place]);
        let is_found = |result: Result<(), StoreError>, what: &str| match result {
            Ok(()) => assert!(is_inside, "{name}: {what}"),
            Err(StoreError::NotFound { .. }) => assert!(!is_inside, "{name}: {what}"),
            Err(error) => panic!("{name}: {what}: {error}"),
        };
        let actor = String::new;
        is_found(store.device(sight, device).await.map(drop), "device");
        is_found(store.device_tags(sight, device).await.map(drop), "tags");
        is_found(store.device_events(sight, device, None, 9).await.map(drop), "timeline");
        is_found(store.risk_changes(sight, device, None, 9).await.map(drop), "risk");
        is_found(store.likely_duplicates(sight, device).await.map(drop), "duplicates");
        is_found(store.device_policy(sight, device).await.map(drop), "policy");
        is_found(store.add_tag(sight, device, "x".into(), actor(), NOW).await, "tag");
        is_found(store.remove_tag(sight, device, "x".into(), actor(), NOW).await, "untag");
        let what = (String::new(), DeviceValue::High);
        is_found(store.describe_device(sight, device, what, actor(), NOW).await, "describe");
        is_found(store.alert(sight, key).await.map(drop), "alert");
        is_found(store.alert_tags(sight, key).await.map(drop), "alert tags");
        is_found(store.alert_changes(sight, key, 9).await.map(drop), "alert changes");
        is_found(store.alert_suppressed_by(sight, key).await.map(drop), "suppressed by");
        is_found(store.external_alert(sight, key).await.map(drop), "evidence");
        let status = AlertStatus::InProgress;
        is_found(store.set_alert_status(sight, key, status, split.member, NOW).await, "status");
        let report = u128::try_from(place).unwrap() + 1;
        let accepted = SiteReportStatus::Accepted;
        is_found(store.decide_site_report(sight, report, accepted, "a", NOW).await, "report");
        let of = said.iter().find(|row| row.device.as_ref().unwrap().0 == device).unwrap().id;
        is_found(store.feedback(sight, of).await.map(drop), "feedback");
        let closed = FeedbackStatus::Closed;
        is_found(store.settle_feedback(sight, of, closed, None, NOW).await, "settled");
        let row = store.alert(acme.scope.whole(), key).await.unwrap();
        assert_eq!(row.alert.status == AlertStatus::InProgress, is_inside, "{name}");
        assert_eq!(row.device.value == DeviceValue::High, is_inside, "{name}");
    }
    for device in [split.devices[1], split.devices[2]] {
        let refused = store.offboard_device(sight, device, String::new(), NOW).await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })));
        let refused = store.forget_device(sight, device, NOW).await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    }
    for pair in [(split.devices[0], split.devices[1]), (split.devices[1], split.devices[0])] {
        let refused = store.merge_device(sight, pair, Guard::open(), String::new(), NOW).await;
        assert!(matches!(refused, Err(MergeError::Store(StoreError::NotFound { .. }))));
    }
    store.forget_device(sight, split.devices[0], NOW).await.unwrap();
    let gone = store.device(sight, split.devices[0]).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn an_incident_with_others_alerts_is_shown_in_part_and_not_changed_as_a_whole() {
    let split = Split::new().await;
    let (store, acme) = (&split.world.store, split.world.acme);
    let sight = split.sight(Permission::AlertsInvestigation).await;
    let incident = async |key| -> IncidentId {
        store.alert(acme.scope.whole(), key).await.unwrap().alert.incident.unwrap()
    };
    let shared = incident(split.alerts[0]).await;
    assert_eq!(shared, incident(split.alerts[1]).await);
    let foreign = incident(split.alerts[2]).await;
    let edit = || IncidentEdit { by: split.member, reason: "so".into(), now: NOW };

    assert_eq!(store.incident(sight, shared).await.unwrap().alerts, 1);
    assert!(store.incident_changes(sight, shared, 9).await.is_ok());
    assert_eq!(store.incident_merged_into(sight, shared).await.unwrap(), None);
    let refused = store.set_incident_title(sight, shared, "mine".into(), edit()).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    let refused = store.merge_incidents(sight, shared, foreign, edit()).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    for refused in [
        store.incident(sight, foreign).await.map(drop),
        store.incident_changes(sight, foreign, 9).await.map(drop),
        store.incident_merged_into(sight, foreign).await.map(drop),
        store.set_incident_title(sight, foreign, "mine".into(), edit()).await,
        store.merge_incidents(sight, foreign, shared, edit()).await,
        store
            .split_incident(sight, shared, vec![split.alerts[1]], String::new(), edit())
            .await
            .map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    // What they see they may take out, and have for themselves.
    let own = split.alerts.to_vec();
    let own = store.split_incident(sight, shared, own, "Own".into(), edit()).await.unwrap();
    assert_eq!(store.incident(acme.scope.whole(), own).await.unwrap().alerts, 1);
    store.set_incident_title(sight, own, "Mine".into(), edit()).await.unwrap();
    let refused = store.merge_incidents(sight, own, foreign, edit()).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    let gone = store.incident(sight, shared).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn a_change_of_many_reaches_what_is_inside_and_is_shown_to_who_asked() {
    let split = Split::new().await;
    let (store, acme) = (&split.world.store, split.world.acme);
    let sight = split.sight(Permission::AlertsInvestigation).await;
    let update = || AlertUpdate { status: Some(AlertStatus::Resolved), ..AlertUpdate::default() };
    let other = store
        .create_alert_job(
            acme.scope.whole(),
            AlertChoice::Keys(vec![split.alerts[2]]),
            AlertUpdate { tag: vec!["x".into()], ..AlertUpdate::default() },
            acme.member,
            NOW,
        )
        .await
        .unwrap();
    for choice in
        [AlertChoice::Filter(AlertFilter::default()), AlertChoice::Keys(split.alerts.to_vec())]
    {
        let job = store.create_alert_job(sight, choice.clone(), update(), split.member, NOW);
        let job = job.await.unwrap();
        while store.step_alert_job(acme.scope, 9, NOW).await.unwrap() != JobStep::Idle {}
        let row = store.alert_job(sight, job).await.unwrap();
        assert_eq!(row.state, AlertJobState::Done);
        let items = store.alert_job_items(sight, job, AlertKey(0), 9).await.unwrap();
        let keys: Vec<_> = items.iter().map(|item| item.key).collect();
        assert_eq!(keys, [split.alerts[0]], "{choice:?}");
        assert!(items.iter().all(|item| item.outcome != ItemOutcome::Failed));
    }
    for (place, key) in (0..).zip(split.alerts) {
        let row = store.alert(acme.scope.whole(), key).await.unwrap().alert;
        assert_eq!(row.status == AlertStatus::Resolved, place == 0);
    }
    let listed = store.alert_jobs(sight, None, 9).await.unwrap();
    assert_eq!(listed.len(), 2, "those of others are not shown");
    for refused in [
        store.alert_job(sight, other).await.map(drop),
        store.alert_job_items(sight, other, AlertKey(0), 9).await.map(drop),
        store.cancel_alert_job(sight, other, NOW).await,
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    assert_eq!(store.alert_jobs(acme.scope.whole(), None, 9).await.unwrap().len(), 3);
}

#[tokio::test]
async fn each_permission_reaches_as_far_as_the_roles_that_give_it() {
    let split = Split::new().await;
    let (store, acme) = (&split.world.store, split.world.acme);
    let role = |name: &str, permission, groups| NewRole {
        name: name.into(),
        description: String::new(),
        permissions: Permissions::of(&[permission]),
        device_groups: groups,
    };
    let second = Some(vec![split.groups[1].to_string()]);
    let second = role("Second", Permission::AlertsInvestigation, second);
    let second = store.create_role(acme.scope, second, NOW).await.unwrap();
    let gone = role("Of a group that is gone", Permission::ActiveRemediation, Some(Vec::new()));
    let gone = store.create_role(acme.scope, gone, NOW).await.unwrap();
    let roles = vec![BuiltIn::ReadOnly.id().into(), second, gone];
    let member = member(&split.world, "mixed@acme.test", roles).await;
    let seen = async |permission| {
        let sight = sight(&split.world, member, permission).await;
        let rows = store.devices(sight, DeviceFilter::default(), None, 9).await.unwrap();
        (sight.is_whole(), rows.into_iter().map(|row| row.id).collect::<Vec<_>>())
    };
    let (is_whole, all) = seen(Permission::ViewData).await;
    assert!(is_whole && all.len() == 3);
    assert_eq!(seen(Permission::AlertsInvestigation).await, (false, vec![split.devices[1]]));
    assert_eq!(seen(Permission::ActiveRemediation).await, (false, vec![]));
    assert_eq!(seen(Permission::ManageSecuritySettings).await, (false, vec![]));

    // A device that moves is seen by whom it moves to; who loses the role loses the sight, also with an old session.
    let sight = sight(&split.world, member, Permission::AlertsInvestigation).await;
    store
        .remove_tag(acme.scope.whole(), split.devices[0], "inside".into(), String::new(), NOW)
        .await
        .unwrap();
    store
        .add_tag(acme.scope.whole(), split.devices[0], "outside".into(), String::new(), NOW)
        .await
        .unwrap();
    let listed = store.devices(sight, DeviceFilter::default(), None, 9).await.unwrap();
    assert_eq!(listed.len(), 2);
    let none = vec![BuiltIn::ReadOnly.id().to_owned()];
    store.set_member_roles(acme.scope, member, none, NOW).await.unwrap();
    assert_eq!(store.devices(sight, DeviceFilter::default(), None, 9).await.unwrap(), []);
    // A scope that names a member and comes from anywhere else shows nothing.
    let row = store.session([7; 32], Duration::from_secs(60), NOW).await.unwrap().unwrap();
    let alone = row.scope.whole();
    assert_eq!(store.devices(alone, DeviceFilter::default(), None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn no_page_of_any_list_shows_what_is_outside() {
    // Devices go to groups by chance, alerts to devices, and every list is read to its end a page at a time.
    for seed in 1_u64..4 {
        let split = Split::new().await;
        let (store, acme) = (&split.world.store, split.world.acme);
        let mut state = seed;
        let mut chance = |below: u64| {
            // Knuth's MMIX generator.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut inside = vec![split.devices[0]];
        let mut devices = split.devices.to_vec();
        for number in 40..52 {
            let device = enroll(store, acme.scope, number).await;
            devices.push(device);
            let tag = NAMES[usize::try_from(chance(3)).unwrap()];
            if tag == "inside" {
                inside.push(device);
            }
            let tag = tag.to_owned();
            store.add_tag(acme.scope.whole(), device, tag, String::new(), NOW).await.unwrap();
        }
        for number in 100..140_u128 {
            let device = devices[usize::try_from(chance(15)).unwrap()];
            let host = format!("h{}.test", chance(6));
            let at = chance(1_000);
            let batch = vec![alert(number, &host, at)];
            store.ingest_alerts(acme.scope, device, batch, UnixMillis(NOW.0 + at)).await.unwrap();
        }
        let sight = split.sight(Permission::ViewData).await;
        let whole = acme.scope.whole();
        let all = AlertFilter::default();
        let of_all = store.alerts(whole, all, None, 999).await.unwrap();
        let expected: Vec<_> =
            of_all.iter().filter(|row| inside.contains(&row.device)).map(|row| row.key).collect();

        let (mut shown, mut after) = (Vec::new(), None);
        loop {
            let page = store.alerts(sight, all, after, 3).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.cursor());
            shown.extend(page.iter().map(|row| row.key));
        }
        assert_eq!(shown, expected, "seed {seed}");
        let counted = store.alerts_matching(sight, all).await.unwrap();
        assert_eq!(counted, u64::try_from(expected.len()).unwrap());

        let (mut shown, mut after) = (Vec::new(), None);
        loop {
            let page = store.devices(sight, DeviceFilter::default(), after, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.cursor());
            shown.extend(page.iter().map(|row| row.id));
        }
        shown.sort_unstable();
        inside.sort_unstable();
        assert_eq!(shown, inside, "seed {seed}");

        let (mut alerts, mut after) = (0, None);
        loop {
            let page = store.incidents(sight, false, after, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.cursor());
            for row in page {
                let of = AlertFilter { incident: Some(row.id), ..all };
                let rows = of_all.iter().filter(|alert| alert.incident == Some(row.id));
                let mine: Vec<_> = rows.filter(|row| inside.contains(&row.device)).collect();
                assert_eq!(row.alerts, u64::try_from(mine.len()).unwrap(), "seed {seed}");
                assert_eq!(Some(row.severity), mine.iter().map(|row| row.severity).max());
                assert_eq!(store.alerts_matching(sight, of).await.unwrap(), row.alerts);
                alerts += row.alerts;
            }
        }
        assert_eq!(alerts, counted, "seed {seed}");
    }
}
