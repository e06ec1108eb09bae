//! `bartizan agent feedback`: what a person at a device says reaches the portal, and the answer them.

use bartizan_store::FeedbackStatus;

use crate::support::{World, bartizan};

#[test]
fn what_is_said_is_answered_and_shown_at_the_device() {
    let world = World::new();
    let portal = world.portal();
    let device = world.device(&portal);
    let (well, said) = feedback(&world, &[]);
    assert!(well && said.contains("has said nothing yet"), "{said}");

    let logs = world.file("agent.log", "one line\n");
    let (well, said) = feedback(&world, &["It is slow.", "--mood", "bad", "--logs", &logs]);
    assert!(well && said.contains("Sent to         My organization"), "{said}");
    let (row, kept) = portal.ask(async |store, scope| {
        let row = store.feedback_list(scope.whole(), None, None, 9).await.unwrap().remove(0);
        let kept = store.feedback_logs(scope.whole(), row.id).await.unwrap();
        let (answered, reply) = (FeedbackStatus::Answered, Some("We look into it.".to_owned()));
        store.settle_feedback(scope.whole(), row.id, answered, reply, row.sent_at).await.unwrap();
        (row, kept)
    });
    assert_eq!(
        (row.text.as_str(), row.mood.as_str(), &*kept),
        ("It is slow.", "bad", &b"one line\n"[..])
    );
    let (well, said) = feedback(&world, &[]);
    assert!(well, "{said}");
    for line in [
        "Said            It is slow.",
        "Status          Answered",
        "Reply           We look into it.",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    let (well, said) = feedback(&world, &["It is slow.", "--mood", "odd"]);
    assert!(!well && said.contains("possible values: good, neutral, bad"), "{said}");
    let (well, said) = feedback(&world, &[" "]);
    assert!(!well && said.contains("text of 1 to 4000 characters"), "{said}");
    drop(device);
}

/// Runs the command; returns whether it went well and what it said.
fn feedback(world: &World, arguments: &[&str]) -> (bool, String) {
    let state = world.state();
    let mut all = vec!["agent", "feedback", "--state", state.to_str().unwrap()];
    all.extend(arguments);
    let output = bartizan(&all);
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}
