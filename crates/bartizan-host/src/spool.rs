//! Alerts on disk, one file each, until the portal has them.
//!
//! # Invariants
//! - [`Spool::put`] returns once the alert would survive a loss of power.
//! - A file that cannot be read is set aside as `*.damaged`, never deleted, and never in the way.

use std::fs;
use std::io;
use std::path::PathBuf;

use bartizan_contract::alerts::AlertReport;
use bartizan_model::{Alert, AlertId};

use crate::state::replace;

/// The folder of waiting alerts.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// Uses a folder that exists.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Puts an alert on disk.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn put(&self, alert: &Alert) -> io::Result<()> {
        let json = serde_json::to_vec(&AlertReport::from(alert))?;
        replace(&self.folder, &file_name(alert.id), &json)
    }

    /// Takes an alert off the disk; that it is not there is no error.
    pub fn remove(&self, id: AlertId) {
        match fs::remove_file(self.folder.join(file_name(id))) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // It will be sent again after the next start, and the portal knows it by its id.
            Err(error) => tracing::warn!(error = %error, "cannot remove a settled alert"),
        }
    }

    /// Reads what waits, oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn waiting(&self) -> io::Result<Vec<Alert>> {
        let mut alerts = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let alert = fs::read(&path)
                .ok()
                .and_then(|json| serde_json::from_slice::<AlertReport>(&json).ok())
                .and_then(|report| Alert::try_from(&report).ok());
            match alert {
                Some(alert) => alerts.push(alert),
                None => {
                    tracing::warn!("an alert on disk cannot be read and was set aside");
                    fs::rename(&path, path.with_extension("damaged"))?;
                }
            }
        }
        alerts.sort_by_key(|alert| alert.id);
        Ok(alerts)
    }
}

fn file_name(id: AlertId) -> String {
    format!("{id}.json")
}

#[cfg(test)]
mod tests {
    use bartizan_model::{
        Detector, DomainName, IndicatorAction, IndicatorSource, MatchedIndicator, UnixMillis,
    };

    use super::*;

    #[test]
    fn what_is_put_waits_in_order_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned());
        spool.put(&alert(2)).unwrap();
        spool.put(&alert(1)).unwrap();
        spool.put(&alert(1)).unwrap();
        assert_eq!(spool.waiting().unwrap(), [alert(1), alert(2)]);
        spool.remove(AlertId(1));
        spool.remove(AlertId(1));
        assert_eq!(spool.waiting().unwrap(), [alert(2)]);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_the_others_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned());
        spool.put(&alert(2)).unwrap();
        fs::write(folder.path().join("half.json"), "{\"id\":").unwrap();
        fs::write(folder.path().join("torn.json.new"), "{").unwrap();
        assert_eq!(spool.waiting().unwrap(), [alert(2)]);
        assert!(folder.path().join("half.damaged").exists());
    }

    fn alert(id: u128) -> Alert {
        Alert {
            id: AlertId(id),
            detector: Detector::WebPhishingBlocked,
            host: DomainName::parse(b"evil.test").ok(),
            matched: Some(MatchedIndicator {
                entry: "evil.test".into(),
                source: IndicatorSource::Tenant(1),
            }),
            action: IndicatorAction::Block,
            first_seen: UnixMillis(1),
            last_seen: UnixMillis(2),
            count: 1,
            indicator_epoch: 3,
        }
    }
}
