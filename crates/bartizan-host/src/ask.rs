//! What a person at the device asks of the running agent: a line of JSON each way, over a socket in the state folder.
//!
//! Whoever may open the folder may ask. One question at a time, with bounds on its length and its silences.
//!
//! # What it does not do
//! - Keep the device from running: without the socket nobody can ask, and that is all.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bartizan_engine::passes::{Granted, NotPassed};
use bartizan_indicators::normal::{CanonicalUrl, Host};
use bartizan_model::{DomainName, IndicatorSource};
use serde::{Deserialize, Serialize};

/// A person wants to go on to a name that they were warned of.
#[derive(Debug)]
pub(crate) struct PassAsk {
    /// The name.
    pub(crate) name: DomainName,
    /// Whom to tell; dropping it is an answer too.
    pub(crate) reply: Sender<Result<Granted, NotPassed>>,
}

/// What a person may go on to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The name.
    pub host: String,
    /// The entry that warned.
    pub entry: String,
    /// The feed that lists it; absent for the organization itself.
    pub feed: Option<String>,
    /// For how long.
    pub hours: u16,
}

/// Asks the agent that runs with a state folder to let a person go on to a site, a name or a URL.
///
/// # Errors
/// No agent runs there, or it does not let them; for people to read.
pub fn pass(state: &Path, site: &str) -> anyhow::Result<Passed> {
    let url = CanonicalUrl::parse(site).with_context(|| format!("{site} is no name"))?;
    let Host::Name(name) = url.host() else { bail!("{site} is no name") };
    let mut stream = UnixStream::connect(state.join(SOCKET))
        .with_context(|| format!("no agent runs with {}", state.display()))?;
    match converse(&mut stream, name).context("the agent does not answer")? {
        Reply::Passed(passed) => Ok(passed),
        Reply::Refused(why) => bail!("{name} {why}"),
    }
}

fn converse(stream: &mut UnixStream, name: &DomainName) -> anyhow::Result<Reply> {
    stream.set_read_timeout(Some(2 * ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    say(stream, &Request::Pass(name.to_string()))?;
    Ok(serde_json::from_str(&hear(stream)?)?)
}

/// The socket, as long as the device runs.
#[derive(Debug)]
pub(crate) struct AskSocket {
    path: PathBuf,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl AskSocket {
    /// Opens the socket in a folder, in place of one that was left there, and hands on what is asked.
    pub(crate) fn open(
        folder: &Path,
        asked: impl Fn(PassAsk) + Send + 'static,
    ) -> io::Result<Self> {
        let path = folder.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        let thread = std::thread::Builder::new().name("asks".into()).spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                // Whoever asked and went away is no concern of ours.
                if let Err(error) = stream.and_then(|stream| answer(stream, &asked)) {
                    tracing::debug!(error = %error, "a question was not answered");
                }
            }
        })?;
        Ok(Self { path, ends, thread: Some(thread) })
    }
}

impl Drop for AskSocket {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // The thread waits for a caller: be one.
        let woken = UnixStream::connect(&self.path).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            // It has nothing to say, not even that it failed.
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

fn answer(mut stream: UnixStream, asked: &impl Fn(PassAsk)) -> io::Result<()> {
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    let request = serde_json::from_str(&hear(&stream)?);
    let name = match &request {
        Ok(Request::Pass(name)) => DomainName::parse(name.as_bytes()).ok(),
        Err(_) => None,
    };
    let Some(name) = name else {
        return say(&mut stream, &Reply::Refused("is not understood".into()));
    };
    let (reply, replies) = channel();
    asked(PassAsk { name: name.clone(), reply });
    let said = match replies.recv_timeout(ANSWER_WITHIN) {
        Ok(Ok(Granted { matched, hours })) => Reply::Passed(Passed {
            host: name.to_string(),
            entry: matched.entry.into(),
            feed: match matched.source {
                IndicatorSource::Feed(feed) => Some(feed.to_string()),
                IndicatorSource::Tenant(_) => None,
            },
            hours,
        }),
        Ok(Err(why)) => Reply::Refused(in_words(why).into()),
        Err(_) => Reply::Refused("is not decided: the agent is ending".into()),
    };
    say(&mut stream, &said)
}

fn in_words(why: NotPassed) -> &'static str {
    match why {
        NotPassed::NotListed => "is not stopped: there is no warning to pass",
        NotPassed::Blocked => {
            "is blocked, which cannot be passed; say so with `bartizan agent report` if it is a mistake"
        }
        NotPassed::NotAllowed => "cannot be passed: the organization lets nobody go on",
    }
}

fn say(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn hear(stream: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut line)?;
    Ok(line)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Pass(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Passed(Passed),
    /// Follows the name.
    Refused(String),
}

const SOCKET: &str = "agent.sock";
/// Octets of a line.
const LONGEST: u64 = 4_096;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use bartizan_model::MatchedIndicator;

    use super::*;

    #[test]
    fn a_pass_is_asked_for_and_granted_or_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let socket = AskSocket::open(folder.path(), decide).unwrap();
        let passed = pass(folder.path(), "https://WWW.warned.test/path?x").unwrap();
        let expected = Passed {
            host: "www.warned.test".into(),
            entry: "warned.test".into(),
            feed: Some("list".into()),
            hours: 24,
        };
        assert_eq!(passed, expected);
        for (site, expected) in [
            ("good.test", "good.test is not stopped: there is no warning to pass"),
            ("never.test", "never.test cannot be passed: the organization lets nobody go on"),
            ("ending.test", "ending.test is not decided: the agent is ending"),
            ("192.0.2.1", "192.0.2.1 is no name"),
            ("no name", "no name is no name"),
        ] {
            assert_eq!(pass(folder.path(), site).unwrap_err().to_string(), expected);
        }
        drop(socket);
        let error = pass(folder.path(), "warned.test").unwrap_err().to_string();
        assert!(error.starts_with("no agent runs with "), "{error}");
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced_and_nonsense_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        drop(UnixListener::bind(folder.path().join(SOCKET)).unwrap());
        let _socket = AskSocket::open(folder.path(), decide).unwrap();
        for nonsense in ["\n", "{}\n", "{\"pass\":\"a b\"}\n", &"x".repeat(5_000)] {
            let mut stream = UnixStream::connect(folder.path().join(SOCKET)).unwrap();
            let _ = stream.write_all(nonsense.as_bytes());
            let said = hear(&stream).unwrap_or_default();
            assert!(said.is_empty() || said.contains("not understood"), "{said}");
        }
        assert!(pass(folder.path(), "warned.test").is_ok());
    }

    fn decide(ask: PassAsk) {
        let answer = match ask.name.as_str() {
            "good.test" => Err(NotPassed::NotListed),
            "never.test" => Err(NotPassed::NotAllowed),
            "ending.test" => return,
            _ => {
                let source = IndicatorSource::Feed("list".into());
                let matched = MatchedIndicator { entry: "warned.test".into(), source };
                Ok(Granted { matched, hours: 24 })
            }
        };
        ask.reply.send(answer).unwrap();
    }
}
