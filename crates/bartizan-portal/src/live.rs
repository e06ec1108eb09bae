//! News for open consoles: that something changed, never what. They ask for it by their ordinary routes.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use bartizan_model::TenantId;
use bartizan_store::Store;
use futures_util::stream::{Stream, unfold};
use tokio::sync::{broadcast, watch};

use crate::serve::closed;
use crate::session::Watching;
use crate::state::AppState;

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
    Watching { tenant, .. }: Watching,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let reader = Reader {
        tenant,
        news: state.news.sender.subscribe(),
        closing: state.closing.subscribe(),
        ends_at: tokio::time::Instant::now() + LIFETIME,
        sent: 0,
    };
    let stream = unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

struct Reader {
    tenant: TenantId,
    news: broadcast::Receiver<Option<TenantId>>,
    closing: watch::Receiver<bool>,
    ends_at: tokio::time::Instant,
    sent: u64,
}

impl Reader {
    /// Waits for news; `None` when the portal shuts down or the session has to be looked at again.
    async fn next(&mut self) -> Option<Event> {
        let pause = if self.sent == 0 { Duration::ZERO } else { PAUSE };
        tokio::select! {
            () = closed(&mut self.closing) => return None,
            () = tokio::time::sleep_until(self.ends_at) => return None,
            () = news_of(&mut self.news, self.tenant, pause) => {}
        }
        // Whatever came meanwhile is told by this one event.
        self.news = self.news.resubscribe();
        self.sent += 1;
        Some(Event::default().event("alerts").data(self.sent.to_string()))
    }
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
