//! Bringing the indicator files up to date: by deltas where that is shorter, else whole.
//!
//! # Invariants
//! - What comes is written beside the file in use, verified there, and only then takes its name; whatever goes
//!   wrong, the file in use stays.
//! - Nothing of the size of a file is held in memory: downloads go to disk, and files are mapped.

use std::io::{self, Write};

use bartizan_contract::indicators::{DeltaRef, FileRef, Manifest, ManifestReply};
use bartizan_contract::{path, signed};
use bartizan_engine::sync::Done;
use bartizan_indicators::delta::{self, shortest_way};
use bartizan_indicators::{IndicatorFile, TenantFile};
use sha2::{Digest, Sha256};

use crate::portal::{Called, News, PortalClient, unusable};
use crate::state::{INDICATORS, Identity, TENANT};

/// Epochs of the files that are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldFiles {
    pub(crate) base: Option<u64>,
    pub(crate) tenant: Option<u64>,
}

impl PortalClient {
    /// Fetches what is newer than what is held.
    pub(crate) fn indicators(&mut self, held: HeldFiles) -> Called<(Done, Option<News>)> {
        let reply: ManifestReply = self.call_as_device("GET", path::MANIFEST, None::<&()>)?;
        let identity = self.identity()?;
        let manifest: Manifest = signed::open(&reply.manifest, &identity.portal_key)
            .map_err(|error| unusable(&error.into()))?;
        let base = self.base(&identity, &manifest, held.base)?;
        let tenant = self.tenant(&identity, &manifest, held.tenant)?;
        let done = Done::Indicators {
            epoch: base.as_ref().map(IndicatorFile::epoch).or(held.base),
            tenant_epoch: tenant.as_ref().map(TenantFile::epoch).or(held.tenant),
        };
        let news = News::Indicators { base: base.map(Box::new), tenant: tenant.map(Box::new) };
        Ok((done, Some(news)))
    }

    fn base(
        &mut self,
        identity: &Identity,
        manifest: &Manifest,
        held: Option<u64>,
    ) -> Called<Option<IndicatorFile>> {
        let Some(whole) = manifest.base.as_ref().filter(|_| held < Some(manifest.epoch)) else {
            return Ok(None);
        };
        if MAX_FILE < whole.size_bytes {
            return Err(unusable(&anyhow::anyhow!("indicator file is larger than a device holds")));
        }
        let way: Vec<&DeltaRef> = held
            .and_then(|held| {
                let deltas: Vec<_> = manifest
                    .deltas
                    .iter()
                    .map(|delta| (delta.from, delta.to, delta.file.size_bytes))
                    .collect();
                shortest_way(held, manifest.epoch, whole.size_bytes, &deltas)
            })
            .unwrap_or_default()
            .into_iter()
            .filter_map(|place| manifest.deltas.get(place))
            .collect();
        for step in &way {
            if let Err(error) = self.step(identity, step) {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "delta not applied, fetching the whole file"
                );
                return self.whole(identity, manifest.epoch, whole).map(Some);
            }
        }
        if way.is_empty() {
            return self.whole(identity, manifest.epoch, whole).map(Some);
        }
        let file = self.state.indicators(identity);
        let file =
            file.ok_or_else(|| unusable(&anyhow::anyhow!("indicator file cannot be read")))?;
        self.indicator_epoch = file.epoch();
        Ok(Some(file))
    }

    /// Applies one delta to the file on disk.
    fn step(&mut self, identity: &Identity, step: &DeltaRef) -> anyhow::Result<()> {
        anyhow::ensure!(step.file.size_bytes <= MAX_DELTA, "delta is larger than a device holds");
        let mut octets = Vec::new();
        self.download(&step.file, &mut octets)
            .map_err(|trouble| anyhow::anyhow!(trouble.detail))?;
        let base = self.state.indicators(identity);
        let base = base.ok_or_else(|| anyhow::anyhow!("the file in use cannot be read"))?;
        let unfinished = self.state.unfinished(INDICATORS)?;
        delta::apply(&base, &octets, &identity.portal_key, |at, octets| {
            unfinished.write_at(at, octets)
        })?;
        unfinished.finish()
    }

    fn whole(&mut self, identity: &Identity, epoch: u64, file: &FileRef) -> Called<IndicatorFile> {
        let mut unfinished = self.state.unfinished(INDICATORS).map_err(|error| unusable(&error))?;
        self.download(file, &mut unfinished)?;
        let take = || -> anyhow::Result<IndicatorFile> {
            let held = self.indicator_epoch;
            let opened = IndicatorFile::open(unfinished.map()?, &identity.portal_key, held)?;
            opened.verify()?;
            anyhow::ensure!(
                opened.epoch() == epoch,
                "indicator file is of another epoch than the manifest"
            );
            unfinished.finish()?;
            Ok(opened)
        };
        let opened = take().map_err(|error| unusable(&error))?;
        self.indicator_epoch = opened.epoch();
        Ok(opened)
    }

    fn tenant(
        &mut self,
        identity: &Identity,
        manifest: &Manifest,
        held: Option<u64>,
    ) -> Called<Option<TenantFile>> {
        let Some(tenant) = manifest.tenant.as_ref().filter(|tenant| held < Some(tenant.epoch))
        else {
            return Ok(None);
        };
        if MAX_FILE < tenant.file.size_bytes {
            return Err(unusable(&anyhow::anyhow!("tenant file is larger than a device holds")));
        }
        let mut unfinished = self.state.unfinished(TENANT).map_err(|error| unusable(&error))?;
        self.download(&tenant.file, &mut unfinished)?;
        let take = || -> anyhow::Result<TenantFile> {
            let held = self.tenant_epoch;
            let opened = TenantFile::open(unfinished.map()?, &identity.portal_key, held)?;
            opened.verify()?;
            anyhow::ensure!(
                opened.epoch() == tenant.epoch,
                "tenant file is of another epoch than the manifest"
            );
            unfinished.finish()?;
            Ok(opened)
        };
        let opened = take().map_err(|error| unusable(&error))?;
        self.tenant_epoch = opened.epoch();
        Ok(Some(opened))
    }

    /// Downloads a file and checks that it is the one that was meant.
    fn download(&mut self, file: &FileRef, to: &mut dyn Write) -> Called<()> {
        let path = format!("{}{}", path::INDICATOR_FILE, file.sha256);
        let mut hashed = Hashed { to, digest: Sha256::new() };
        self.fetch(&path, file.size_bytes, &mut hashed)?;
        let digest = hashed.digest.finalize();
        let digest: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        if digest == file.sha256 {
            Ok(())
        } else {
            Err(unusable(&anyhow::anyhow!("indicator file is not the one in the manifest")))
        }
    }
}

/// Hashes what it passes on.
struct Hashed<'a> {
    to: &'a mut dyn Write,
    digest: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.to.write(octets)?;
        self.digest.update(octets.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What a container holds at the most; it lies on disk.
const MAX_FILE: u64 = 256 << 20;
/// It lies in memory while it is applied. A larger one is hardly shorter than the file.
const MAX_DELTA: u64 = 1 << 20;
