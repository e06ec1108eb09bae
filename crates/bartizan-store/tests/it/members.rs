//! The list of members.

use bartizan_model::Private;
use bartizan_store::{BuiltIn, NewMember};

use crate::world::{NOW, World};

#[tokio::test]
async fn members_are_listed_by_address_a_page_at_a_time_and_found_by_a_part_of_it() {
    let world = World::new().await;
    let (store, scope) = (&world.store, world.acme.scope);
    for number in 0..7 {
        let member = NewMember {
            email: format!("P{number}@Acme.test"),
            password_hash: Private("hash".into()),
            one_time_expires_at: NOW,
            roles: vec![BuiltIn::ReadOnly.id().into(), BuiltIn::Analyst.id().into()],
        };
        store.invite_member(scope, member, NOW).await.unwrap();
    }
    let all = store.members(scope).await.unwrap();
    assert_eq!(all.len(), 8);
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = store.members_page(scope, "", after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.email.clone();
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let found = store.members_page(scope, "p3@ACME", String::new(), 9).await.unwrap();
    assert_eq!(found.iter().map(|row| row.email.as_str()).collect::<Vec<_>>(), ["p3@acme.test"]);
    let other = world.globex.scope;
    assert!(store.members_page(other, "acme", String::new(), 9).await.unwrap().is_empty());
}
