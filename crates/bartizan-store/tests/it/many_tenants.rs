//! How long operators wait where there are many tenants, and what they cost a portal at rest: figures for
//! `docs/budgets.md`.
//!
//! 10,000 tenants where the build is optimized, 1,000 otherwise; each with a member, every tenth with devices and alerts.

use std::time::{Duration, Instant};

use bartizan_model::{Private, TenantId, UnixMillis};
use bartizan_store::{
    BuiltIn, NewMember, NewSession, NewVisit, SignInMethod, TenantCursor, TenantScope,
};

use crate::world::{HOUR, NOW, World, alert, new_device};

const TENANTS: u32 = if cfg!(debug_assertions) { 1_000 } else { 10_000 };
const AT_ONCE: usize = 64;
const TRIES: u32 = 200;
const IDLE: Duration = Duration::from_secs(1_800);

#[expect(clippy::print_stdout, reason = "figures for people, on which nothing depends")]
#[tokio::test]
async fn operators_list_search_and_switch_among_many_tenants() {
    let world = World::new().await;
    let store = &world.store;
    let began = start();
    let mut filling = Vec::new();
    for number in 0..TENANTS {
        let store = store.clone();
        filling.push(tokio::spawn(async move { fill(&store, number).await }));
        if filling.len() == AT_ONCE {
            for filled in filling.drain(..) {
                filled.await.unwrap();
            }
        }
    }
    for filled in filling {
        filled.await.unwrap();
    }
    let filled = began.elapsed();

    let account = NewMember {
        email: "root".into(),
        password_hash: Private("hash".into()),
        one_time_expires_at: NOW,
        roles: vec![BuiltIn::Administrator.id().into()],
    };
    let own = store.installation();
    let id = store.add_member(own.scope(), account, NOW).await.unwrap();
    let session = NewSession {
        member: id,
        token_hash: [1; 32],
        expires_at: UnixMillis(NOW.0 + 12 * HOUR),
        agent: String::new(),
        method: SignInMethod::SecondFactor,
        vouched: None,
    };
    store.create_session(own.scope(), session, NOW).await.unwrap();
    store.grant_operator(own, id, None, BuiltIn::Analyst, NOW).await.unwrap();
    let (by, _) = store.operator_session([1; 32], IDLE, NOW).await.unwrap().unwrap();

    let (mut pages, mut searches, mut switches) = (Vec::new(), Vec::new(), Vec::new());
    let mut after = TenantCursor::default();
    let mut seen = 0;
    loop {
        let one = start();
        let rows = store.operated_tenants(by, String::new(), after, 51).await.unwrap();
        pages.push(one.elapsed());
        seen += rows.len().min(50);
        let Some(last) = rows.get(49).filter(|_| 50 < rows.len()) else { break };
        after = TenantCursor { name: last.name.clone(), id: last.id.0 };
    }
    assert_eq!(seen, TENANTS as usize + 2, "every tenant once");
    for number in 0..TRIES {
        let text = format!("organization {number}");
        let one = start();
        store.operated_tenants(by, text, TenantCursor::default(), 51).await.unwrap();
        searches.push(one.elapsed());
    }
    for number in 0..TRIES {
        let mut token_hash = [2; 32];
        token_hash[..4].copy_from_slice(&number.to_be_bytes());
        let tenant = TenantId(i64::from(number % TENANTS) + 3);
        let visit = NewVisit {
            tenant,
            role: BuiltIn::ReadOnly,
            reason: "They called.".into(),
            operator_session: [1; 32],
            token_hash,
            expires_at: UnixMillis(NOW.0 + HOUR),
            agent: String::new(),
        };
        let one = start();
        store.enter_tenant(by, visit, NOW).await.unwrap().unwrap();
        let row = store.session(token_hash, IDLE, NOW).await.unwrap().unwrap();
        switches.push(one.elapsed());
        assert_eq!(row.scope.tenant_id(), tenant);
    }

    // What a portal at rest asks, again and again.
    let mut idle = Vec::new();
    let later = UnixMillis(NOW.0 + HOUR);
    for (name, seconds) in [
        ("regroup", 5),
        ("bulk", 5),
        ("feeds", 5),
        ("compile", 5),
        ("sinks", 1),
        ("pruning", 60),
        ("signing", 60),
    ] {
        let one = start();
        match name {
            "regroup" => drop(store.wanted_regroups().await.unwrap()),
            "bulk" => drop(store.tenants_with_alert_jobs().await.unwrap()),
            "feeds" => drop(store.due_feeds(later, 100).await.unwrap()),
            "compile" => drop(store.wanted_compiles().await.unwrap()),
            "sinks" => drop(store.due_sinks(later, 256).await.unwrap()),
            "pruning" => drop(store.tenants_with_sinks().await.unwrap()),
            _ => drop(store.unsigned_audits().await.unwrap()),
        }
        idle.push(format!("{name} {:.1} ms each {seconds} s", ms(one.elapsed())));
    }
    let mut once = Vec::new();
    let one = start();
    let every = store.every_tenant().await.unwrap();
    once.push(format!("all tenants {:.1} ms", ms(one.elapsed())));
    let one = start();
    store.tenants_that_auto_resolve().await.unwrap();
    store.tenants_to_delete(later).await.unwrap();
    once.push(format!("auto-resolve and deletion {:.1} ms", ms(one.elapsed())));
    let one = start();
    store.tenants_behind().await.unwrap();
    once.push(format!("at the start {:.1} ms", ms(one.elapsed())));
    let one = start();
    for scope in every {
        store.remove_old(scope, UnixMillis(NOW.0 - 180 * 24 * HOUR), 500).await.unwrap();
    }
    once.push(format!("retention of all {:.0} ms", ms(one.elapsed())));

    println!(
        "{TENANTS} tenants (filled in {:.1} s): page of 50 {}; search {}; switch {}; at rest: {}; each hour: {}",
        filled.as_secs_f64(),
        percentiles(pages),
        percentiles(searches),
        percentiles(switches),
        idle.join(", "),
        once.join(", "),
    );
}

/// A tenant with a member; every tenth with two devices and some alerts.
async fn fill(store: &bartizan_store::Store, number: u32) {
    let name = format!("Organization {number}");
    let tenant = store.create_tenant(&name, [7; 32], NOW).await.unwrap();
    let scope = store.tenant(tenant).await.unwrap();
    let member = NewMember {
        email: format!("admin@o{number}.test"),
        password_hash: Private("hash".into()),
        one_time_expires_at: NOW,
        roles: vec![BuiltIn::Administrator.id().into()],
    };
    store.invite_member(scope, member, NOW).await.unwrap();
    if number.is_multiple_of(10) {
        for device in 0..2 {
            enroll(store, scope, 1_000 + 2 * number + device).await;
        }
    }
}

async fn enroll(store: &bartizan_store::Store, scope: TenantScope, number: u32) {
    let mut hash = [9; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    store.create_enrollment_token(scope, hash, UnixMillis(NOW.0 + HOUR), NOW).await.unwrap();
    let mut device = new_device(1);
    device.id = bartizan_model::DeviceId(u128::from(number));
    device.key_thumbprint = hash;
    let device = store.enroll(hash, device, NOW).await.unwrap().device;
    let alerts = (0..3_u32)
        .map(|at| alert(u128::from(number * 4 + at), &format!("h{at}.test"), 0))
        .collect();
    store.ingest_alerts(scope, device, alerts, NOW).await.unwrap();
}

fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len() - 1));
    let ms = |percent| at(percent).map_or(0.0, |it| ms(*it));
    format!("p50 {:.1} ms, p99 {:.1} ms", ms(50), ms(99))
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

#[expect(clippy::disallowed_methods, reason = "a figure for people, on which nothing depends")]
fn start() -> Instant {
    Instant::now()
}
