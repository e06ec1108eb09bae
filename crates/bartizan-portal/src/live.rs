//! News for open consoles: that something changed, never what. They ask for it by their ordinary routes.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use bartizan_model::TenantId;
use futures_util::stream::{Stream, unfold};
use tokio::sync::{broadcast, watch};

use crate::serve::closed;
use crate::session::Watching;
use crate::state::AppState;

/// Who has news.
pub(crate) struct News {
    sender: broadcast::Sender<TenantId>,
}

impl Default for News {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BACKLOG) }
    }
}

impl News {
    /// Tells the tenant's open consoles that alerts or devices changed.
    pub(crate) fn publish(&self, tenant: TenantId) {
        // Nobody may be watching.
        let _ = self.sender.send(tenant);
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
    news: broadcast::Receiver<TenantId>,
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

async fn news_of(news: &mut broadcast::Receiver<TenantId>, tenant: TenantId, pause: Duration) {
    tokio::time::sleep(pause).await;
    loop {
        match news.recv().await {
            Ok(other) if other != tenant => {}
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
