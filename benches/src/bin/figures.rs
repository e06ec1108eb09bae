//! Figures of the indicator file that are no look-ups: compiling, opening, verifying, deltas.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bartizan_benches::measure::{heap, median, mib, ms, resident, timed};
use bartizan_benches::names::Names;
use bartizan_benches::{compile, feed, key, write};
use bartizan_indicators::guard::Guard;
use bartizan_indicators::pattern::Pattern;
use bartizan_indicators::{IndicatorFile, delta, mapping};
use bartizan_model::DomainName;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() {
    let names = Names::load();
    println!("{} names, {}", names.listed.len(), names.origin);
    let folder = tempfile::tempdir().expect("there is room for files");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));

    let text = feed(&names.listed);
    let ((octets, time), used) = heap(|| timed(|| compile(text.as_bytes(), 1)));
    drop(text);
    write(&first, &octets);
    print("compile: read, guard, merge, lay out, sign", format!("{:.2} s", time.as_secs_f64()));
    print("compile: most heap, the file included", format!("{:.1} MiB", mib(used.peak)));
    print("file", per_entry(octets.len(), names.listed.len()));
    drop(octets);

    let opening = median((0..101).map(|_| timed(|| open(&first)).1).collect());
    let before = resident();
    let (base, used) = heap(|| open(&first));
    let grown = resident().saturating_sub(before);
    print("open: map, verify header and page hashes", format!("{:.3} ms", ms(opening)));
    print("open: heap", format!("{} bytes", used.kept));
    print("open: resident memory", format!("+ {:.3} MiB", mib(grown)));
    let (verified, time) = timed(|| base.verify());
    verified.expect("it is whole");
    print("verify every page", format!("{:.1} ms", ms(time)));

    let kept = names.listed.get(REMOVED..).unwrap_or_default();
    let guard = Guard::new();
    let is_kept =
        |name: &&DomainName| guard.holds_back(&Pattern::Domain((*name).clone())).is_none();
    let added: Vec<_> = names.absent.iter().filter(is_kept).take(ADDED).cloned().collect();
    let target = compile((feed(kept) + &feed(&added)).as_bytes(), 2);
    write(&second, &target);
    let difference = delta::difference(&base, &open(&second)).expect("both are whole");
    let difference = difference.expect("both have one key");
    print(
        "delta",
        format!(
            "{} bytes, {} added, {} removed",
            difference.delta.len(),
            difference.added,
            difference.removed
        ),
    );
    let third = folder.path().join("third");
    let times = (0..5)
        .map(|_| {
            let (done, time) = timed(|| apply(&base, &difference.delta, &third));
            done.expect("it leads to the second file");
            time
        })
        .collect();
    print("apply: to a file, as it is written", format!("{:.0} ms", ms(median(times))));
    let (done, used) = heap(|| apply(&base, &difference.delta, &third));
    done.expect("it leads to the second file");
    print("apply: most heap", format!("{:.2} MiB", mib(used.peak)));
    let result = std::fs::read(&third).expect("it was written");
    assert!(result == target, "the delta leads elsewhere");
    print("apply: result", "the very octets of the second file".to_owned());
}

fn open(path: &Path) -> IndicatorFile {
    let octets = mapping::map(path).expect("the file is there");
    IndicatorFile::open(octets, &key().verifying_key(), 0).expect("it is signed")
}

fn apply(
    base: &IndicatorFile,
    delta: &[u8],
    path: &Path,
) -> Result<u64, delta::DeltaError<io::Error>> {
    let file = File::create(path).map_err(delta::DeltaError::Sink)?;
    delta::apply(base, delta, &key().verifying_key(), |at, part| file.write_all_at(part, at))
}

fn per_entry(octets: usize, entries: usize) -> String {
    format!("{octets} bytes, {:.2} an entry", octets as f64 / entries as f64)
}

fn print(what: &str, figure: String) {
    println!("{what:<44} {figure}");
}

const ADDED: usize = 10_000;
const REMOVED: usize = 5_000;
