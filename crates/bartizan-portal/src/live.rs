//! News for open consoles: that something changed, never what. They ask for it by their ordinary routes.
//!
//! Who sees a part of the devices hears only of what changed there.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use bartizan_model::{TenantId, UnixMillis};
use bartizan_store::{AlertFilter, AlertKey, AlertOrder, Sight, Store, StoreError, Tally};
use futures_util::stream::{Stream, unfold};
use tokio::sync::{broadcast, watch};

use crate::serve::closed;
use crate::session::Watching;
use crate::state::AppState;
use crate::tallies;

/// Who has news: a tenant, or anybody where that may have been missed.
pub(crate) struct News {
    sender: broadcast::Sender<Option<TenantId>>,
    store: Store,
}

impl News {
    pub(crate) fn new(store: Store) -> Self {
        Self { sender: broadcast::Sender::new(BACKLOG), store }
    }

    /// Tells the tenant's open consoles, at other portals too, that alerts or devices changed.
    pub(crate) fn publish(&self, tenant: TenantId) {
        // Nobody may be watching.
        let _ = self.sender.send(Some(tenant));
        self.store.tell_others(tenant);
    }
}

/// Passes on what other portals on the same database tell, until this one closes.
pub(crate) async fn run(state: AppState) {
    let Some(mut others) = state.store.hear_others() else { return };
    let mut closing = state.closing.subscribe();
    loop {
        let heard = tokio::select! {
            () = closed(&mut closing) => return,
            heard = others.recv() => heard,
        };
        let news = match heard {
            Ok(news) => news,
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        // Nobody may be watching.
        let _ = state.news.sender.send(news);
    }
}

/// `GET /events`: an `alerts` event, with a counter, whenever the tenant has news.
pub(crate) async fn events(
    State(state): State<AppState>,
    Watching { tenant, sight }: Watching,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut reader = Reader {
        tenant,
        part: None,
        news: state.news.sender.subscribe(),
        closing: state.closing.subscribe(),
        ends_at: tokio::time::Instant::now() + LIFETIME,
        sent: 0,
    };
    if !sight.is_whole() {
        reader.part = Some(Part { seen: look(&state, sight).await.ok(), state, sight });
    }
    let stream = unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

struct Reader {
    tenant: TenantId,
    /// Of who does not see everything.
    part: Option<Part>,
    news: broadcast::Receiver<Option<TenantId>>,
    closing: watch::Receiver<bool>,
    ends_at: tokio::time::Instant,
    sent: u64,
}

impl Reader {
    /// Waits for news; `None` when the portal shuts down or the session has to be looked at again.
    async fn next(&mut self) -> Option<Event> {
        let mut pause = if self.sent == 0 { Duration::ZERO } else { PAUSE };
        loop {
            tokio::select! {
                () = closed(&mut self.closing) => return None,
                () = tokio::time::sleep_until(self.ends_at) => return None,
                () = news_of(&mut self.news, self.tenant, pause) => {}
            }
            // Whatever came meanwhile is told by this one event.
            self.news = self.news.resubscribe();
            let is_theirs = match &mut self.part {
                Some(part) => part.changed().await,
                None => true,
            };
            if is_theirs {
                break;
            }
            pause = PAUSE;
        }
        self.sent += 1;
        Some(Event::default().event("alerts").data(self.sent.to_string()))
    }
}

/// What somebody sees who sees a part, as it was when they were last told.
struct Part {
    state: AppState,
    sight: Sight,
    seen: Option<Seen>,
}

/// How the devices are, and the alert that changed last.
type Seen = (Tally, Option<(UnixMillis, AlertKey)>);

impl Part {
    async fn changed(&mut self) -> bool {
        // Who cannot be told whether it did is told that it did: then they look.
        let now = look(&self.state, self.sight).await.ok();
        let changed = now.is_none() || now != self.seen;
        self.seen = now;
        changed
    }
}

async fn look(state: &AppState, sight: Sight) -> Result<Seen, StoreError> {
    let order = AlertOrder { by_update: true, ascending: false };
    let store = &state.store;
    let newest = store.alerts_in_order(sight, AlertFilter::default(), order, None, 1).await?;
    let newest = newest.first().map(|alert| (alert.updated_at, alert.key));
    Ok((tallies::of(state, sight).await?, newest))
}

async fn news_of(
    news: &mut broadcast::Receiver<Option<TenantId>>,
    tenant: TenantId,
    pause: Duration,
) {
    tokio::time::sleep(pause).await;
    loop {
        match news.recv().await {
            Ok(Some(other)) if other != tenant => {}
            // Too slow to know whose news it was: then say so once too often.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            // The portal is going; `closing` ends the stream.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Where consoles listen.
pub(crate) const EVENTS: &str = "/events";
const BACKLOG: usize = 256;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// At most one event a second: each makes a console ask again.
const PAUSE: Duration = Duration::from_secs(1);
/// Then the browser connects again, and shows its session again.
const LIFETIME: Duration = Duration::from_secs(600);
