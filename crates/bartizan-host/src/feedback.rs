//! What a person at the device tells the organization, and what became of it; each a conversation of its own.
//!
//! # What it does not do
//! - Keep what could not be sent: the person is there, and is told.
//! - Gather logs: the person names what is to go along, or nothing does.

use std::path::Path;

use anyhow::{bail, ensure};
use bartizan_contract::feedback::{
    Feedback, FeedbackList, FeedbackReply, MAX_LOGS, MAX_TEXT, is_text,
};
use bartizan_contract::path;
use bartizan_engine::sync::Failure;
use bartizan_model::AlertId;

use crate::portal::{Called, Http, PortalClient};
use crate::random;
use crate::report::client_of;

/// Sends what a person says as the device whose state folder it is; returns the organization's name. `mood` is a word
/// of [`bartizan_contract::feedback::mood`]; of logs the end is sent, if they are long.
///
/// # Errors
/// There is nothing that could be sent, the device is not enrolled, or the portal did not take it; for people to read.
pub fn feedback(
    state: &Path,
    http: Box<dyn Http>,
    text: &str,
    mood: Option<&str>,
    logs: Option<&[u8]>,
) -> anyhow::Result<String> {
    ensure!(
        is_text(text),
        "feedback is text of 1 to {MAX_TEXT} characters, without control characters"
    );
    let (mut client, tenant_name) = client_of(state, http)?;
    let id = AlertId::new(client.clock.wall(), u128::from_be_bytes(random::octets()));
    let feedback = Feedback {
        id: id.to_string(),
        text: text.to_owned(),
        mood: mood.map(str::to_owned),
        logs: logs.map(end_of),
    };
    feedback.check()?;
    let send = |client: &mut PortalClient| -> Called<FeedbackReply> {
        client.token()?;
        client.call_as_device("POST", path::FEEDBACK, Some(&feedback))
    };
    twice(&mut client, send)?;
    Ok(tenant_name)
}

/// Asks what became of what this device said.
///
/// # Errors
/// The device is not enrolled, or the portal does not answer; for people to read.
pub fn feedback_list(state: &Path, http: Box<dyn Http>) -> anyhow::Result<FeedbackList> {
    let (mut client, _) = client_of(state, http)?;
    twice(&mut client, |client| {
        client.token()?;
        client.call_as_device("GET", path::FEEDBACK, None::<&Feedback>)
    })
}

/// The first answer may have put the clock right, or got lost.
fn twice<T>(
    client: &mut PortalClient,
    call: impl Fn(&mut PortalClient) -> Called<T>,
) -> anyhow::Result<T> {
    let answer = match call(client) {
        Err(trouble) if trouble.failure == Failure::Unreachable => call(client),
        answer => answer,
    };
    match answer {
        Ok(answer) => Ok(answer),
        Err(trouble) if trouble.failure == Failure::Unreachable => {
            bail!("{} was not reached: {}", client.url, trouble.detail)
        }
        Err(trouble) => bail!("{} does not take it: {}", client.url, trouble.detail),
    }
}

/// The end of some logs, as text without what no log has, from the beginning of a line on.
fn end_of(logs: &[u8]) -> String {
    let text = String::from_utf8_lossy(logs).replace('\0', "\u{fffd}");
    let Some(start) = text.len().checked_sub(MAX_LOGS).filter(|start| *start != 0) else {
        return text;
    };
    let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let end = text.get(start..).unwrap_or_default();
    end.split_once('\n').map_or(end, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_logs_whole_lines_at_the_end_are_sent() {
        assert_eq!(end_of(b"one\ntwo\n"), "one\ntwo\n");
        assert_eq!(end_of(b"a\0b\xff"), "a\u{fffd}b\u{fffd}");
        let long = "ü line\n".repeat(40_000);
        let end = end_of(long.as_bytes());
        assert!(end.starts_with("ü line\n") && end.ends_with("ü line\n"));
        assert!(MAX_LOGS - 20 < end.len() && end.len() <= MAX_LOGS);
    }
}
