//! What the device's side takes of the heap.

use std::convert::Infallible;

use allocation_counter::{AllocationInfo, measure};
use bartizan_indicators::build::{Stamp, build};
use bartizan_indicators::compile::Compiled;
use bartizan_indicators::normal::CanonicalUrl;
use bartizan_indicators::{IndicatorFile, Indicators, delta};
use bartizan_model::{DomainName, IndicatorAction, IndicatorCategory, UnixMillis};

use crate::world::{base, key, tenant};

#[test]
fn look_ups_take_nothing() {
    let mut indicators = base(&["evil.test", "shared.test/bad", "192.0.2.7", "198.51.100.0/24"]);
    indicators.tenant = Some(tenant(&[
        ("own.test", IndicatorAction::Allow),
        ("192.0.2.0/24", IndicatorAction::Warn),
    ]));
    let names = ["good.test", "a.b.evil.test", "own.test"]
        .map(|name| DomainName::parse(name.as_bytes()).unwrap());
    let urls = ["shared.test/bad/a?b", "own.test/x", "192.0.2.7/a"]
        .map(|url| CanonicalUrl::parse(url).unwrap());
    let taken = measure(|| {
        for name in &names {
            assert!(indicators.lookup(name, UnixMillis(0)).is_ok());
        }
        for url in &urls {
            assert!(indicators.lookup_url(url, UnixMillis(0)).is_ok());
        }
        assert!(indicators.lookup_ip([198, 51, 100, 9].into(), UnixMillis(0)).unwrap().is_some());
    });
    assert_eq!(taken.count_total, 0, "{taken:?}");
}

#[test]
fn opening_takes_a_few_octets_whatever_the_size() {
    for entries in [10, 50_000] {
        let octets = octets(1, 0..entries);
        let taken = opening(octets);
        assert!(taken.bytes_max < 256, "{entries} entries: {taken:?}");
    }
}

#[test]
fn applying_a_delta_takes_less_than_six_mebibytes() {
    let old = open(octets(1, 0..260_000));
    let new = octets(2, 1_000..262_000);
    let new_file = open(new.clone());
    let delta = delta::encode(&old, &new_file).unwrap().unwrap();
    let mut written = vec![0; new.len()];
    let taken = measure(|| {
        let len = delta::apply(&old, &delta, &key().verifying_key(), |at, part| {
            let at = usize::try_from(at).unwrap();
            written[at..at + part.len()].copy_from_slice(part);
            Ok::<_, Infallible>(())
        });
        assert_eq!(len.unwrap(), new.len() as u64);
    });
    assert!(written == new, "another file");
    assert!(taken.bytes_max < 6 << 20, "{taken:?}");
}

fn opening(octets: Vec<u8>) -> AllocationInfo {
    let octets: bartizan_indicators::Octets = Box::new(octets);
    let key = key().verifying_key();
    let (mut file, mut octets) = (None, Some(octets));
    let taken = measure(|| file = IndicatorFile::open(octets.take().unwrap(), &key, 0).ok());
    let indicators = Indicators { base: file, tenant: None };
    assert!(indicators.base.is_some());
    taken
}

fn octets(epoch: u64, numbers: std::ops::Range<u32>) -> Vec<u8> {
    let entries: Vec<_> = numbers
        .map(|n| (format!("host-{n}.test").parse().unwrap(), IndicatorCategory::Malware))
        .collect();
    build(&Compiled::of(&entries), Stamp { epoch, built_at: UnixMillis(0) }, &key()).unwrap()
}

fn open(octets: Vec<u8>) -> IndicatorFile {
    IndicatorFile::open(Box::new(octets), &key().verifying_key(), 0).unwrap()
}
