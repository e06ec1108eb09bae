//! The indicator file beside what else could hold a million names: octets, nanoseconds, milliseconds to open.
//!
//! First a table of sizes and a check of every answer, then look-ups of names in no order: a few, so that what they touch
//! is in the processor's cache, and many, so that it is not. `cargo xtask bench indicators` runs this with real names.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bartizan_benches::measure::{heap, median, mib, ms, resident, timed};
use bartizan_benches::names::Names;
use bartizan_benches::structures::{Fuse, Ours, Plain, Reversed, Rules, Structure, request};
use bartizan_benches::write;
use bartizan_indicators::normal::CanonicalUrl;
use bartizan_model::{DomainName, UnixMillis};
use divan::{AllocProfiler, Bencher, black_box};
use peak_alloc::PeakAlloc;
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: AllocProfiler<PeakAlloc> = AllocProfiler::new(PeakAlloc);

static BED: OnceLock<Bed> = OnceLock::new();

fn main() {
    let names = Names::load();
    println!("{} names, {}; {} absent ones", names.listed.len(), names.origin, names.absent.len());
    println!(
        "\n{:<20} {:>12} {:>9} {:>8} {:>9} {:>9} {:>9} {:>11} {:>9} {:>10}",
        "",
        "bytes",
        "an entry",
        "make s",
        "open ms",
        "heap MiB",
        "RSS MiB",
        "false hits",
        "listed",
        "subdomains"
    );
    let folder = tempfile::tempdir().expect("there is room for files");
    let opened: Vec<Box<dyn Any + Send + Sync>> = vec![
        Box::new(row::<Ours>(&names, folder.path())),
        Box::new(row::<Reversed>(&names, folder.path())),
        Box::new(row::<Plain>(&names, folder.path())),
        Box::new(row::<Rules>(&names, folder.path())),
        Box::new(row::<Fuse>(&names, folder.path())),
    ];
    println!(
        "\nbytes: the file, or the heap of what is made at opening; RSS: before the first question, and too low\n\
         where heap is used again\n"
    );
    BED.get_or_init(|| Bed { names, folder, opened });
    divan::main();
}

/// Makes and opens a structure, asks it everything, and prints what came out.
fn row<S: Structure>(names: &Names, folder: &Path) -> S {
    let path = file::<S>(folder);
    let (octets, making) = timed(|| S::make(&names.listed));
    write(&path, &octets);
    let kept_in_file = octets.len();
    drop(octets);
    let opening = median((0..5).map(|_| timed(|| S::open(&path)).1).collect());
    let before = resident();
    let (structure, heap) = heap(|| S::open(&path));
    let grown = resident().saturating_sub(before);
    let octets = if matches!(S::NAME, Plain::NAME | Fuse::NAME) { heap.kept } else { kept_in_file };

    let hits = |ask: &mut dyn Iterator<Item = String>| {
        ask.filter(|name| structure.lists(&S::question(name))).count()
    };
    let false_hits = hits(&mut names.absent.iter().map(|name| name.as_str().to_owned()));
    let listed = hits(&mut names.listed.iter().map(|name| name.as_str().to_owned()));
    let below = hits(&mut names.listed.iter().map(|name| format!("www.{}", name.as_str())));
    println!(
        "{:<20} {:>12} {:>9.2} {:>8.2} {:>9.3} {:>9.3} {:>9.3} {:>11} {:>9} {:>10}",
        S::NAME,
        octets,
        octets as f64 / names.listed.len() as f64,
        making.as_secs_f64(),
        ms(opening),
        mib(heap.kept),
        mib(grown),
        false_hits,
        listed,
        below
    );
    if S::NAME == Ours::NAME {
        assert_eq!((false_hits, listed, below), (0, names.listed.len(), names.listed.len()));
    }
    structure
}

#[divan::bench(types = [Ours, Reversed, Plain, Rules, Fuse], args = [FEW, MANY], sample_count = 10, sample_size = MANY as u32)]
fn absent<S: Structure>(bencher: Bencher<'_, '_>, asked: usize) {
    ask::<S>(bencher, asked, Bed::get().names.absent.iter().map(|name| name.as_str().to_owned()));
}

#[divan::bench(types = [Ours, Reversed, Plain, Rules, Fuse], args = [FEW, MANY], sample_count = 10, sample_size = MANY as u32)]
fn listed<S: Structure>(bencher: Bencher<'_, '_>, asked: usize) {
    ask::<S>(bencher, asked, Bed::get().names.listed.iter().map(|name| name.as_str().to_owned()));
}

#[divan::bench(types = [Ours, Reversed, Plain, Rules, Fuse], sample_count = 10, sample_size = MANY as u32)]
fn subdomain_of_listed<S: Structure>(bencher: Bencher<'_, '_>) {
    let names = &Bed::get().names.listed;
    ask::<S>(bencher, MANY, names.iter().map(|name| format!("www.{}", name.as_str())));
}

/// As text comes in, so that what brings it to the form of the question counts as well.
#[divan::bench(types = [Ours, Reversed, Plain, Rules, Fuse], sample_count = 10, sample_size = MANY as u32)]
fn absent_from_text<S: Structure>(bencher: Bencher<'_, '_>) {
    let (bed, structure) = (Bed::get(), Bed::get().opened::<S>());
    let mut names = bed.names.absent.iter().take(MANY).map(DomainName::as_str).cycle();
    bencher
        .bench_local(|| structure.lists(&S::question(black_box(names.next().unwrap_or_default()))));
}

#[divan::bench(sample_count = 10, sample_size = MANY as u32)]
fn absent_url_ours(bencher: Bencher<'_, '_>) {
    let structure = Bed::get().opened::<Ours>();
    let parsed = |url: String| CanonicalUrl::parse(&url).expect("it is a URL");
    let urls: Vec<_> = urls().map(parsed).collect();
    let mut urls = urls.iter().cycle();
    bencher.bench_local(|| {
        let url = black_box(urls.next())?;
        structure.0.lookup_url(url, UnixMillis(0)).ok()?
    });
}

#[divan::bench(sample_count = 10, sample_size = MANY as u32)]
fn absent_url_adblock(bencher: Bencher<'_, '_>) {
    let structure = Bed::get().opened::<Rules>();
    let urls: Vec<_> = urls().map(|url| request(&url)).collect();
    let mut urls = urls.iter().cycle();
    bencher.bench_local(|| structure.lists(black_box(urls.next()?)).then_some(()));
}

#[divan::bench(types = [Ours, Reversed, Plain, Rules], sample_count = 10, sample_size = 1)]
fn open<S: Structure>(bencher: Bencher<'_, '_>) {
    let path = file::<S>(Bed::get().folder.path());
    bencher.bench_local(|| S::open(&path));
}

fn ask<S: Structure>(bencher: Bencher<'_, '_>, asked: usize, names: impl Iterator<Item = String>) {
    let structure = Bed::get().opened::<S>();
    let questions: Vec<_> = names.take(asked).map(|name| S::question(&name)).collect();
    let mut questions = questions.iter().cycle();
    bencher.bench_local(|| questions.next().is_some_and(|asked| structure.lists(black_box(asked))));
}

fn urls() -> impl Iterator<Item = String> {
    let names = Bed::get().names.absent.iter().take(MANY);
    names.map(|name| format!("https://{}/account/login/index.php?id=1", name.as_str()))
}

fn file<S: Structure>(folder: &Path) -> PathBuf {
    folder.join(S::NAME.replace(|letter: char| !letter.is_alphanumeric(), "-"))
}

/// What all benches need, made once.
struct Bed {
    names: Names,
    folder: TempDir,
    opened: Vec<Box<dyn Any + Send + Sync>>,
}

impl Bed {
    fn get() -> &'static Self {
        BED.get().expect("main makes it")
    }

    fn opened<S: Structure>(&self) -> &S {
        self.opened.iter().find_map(|opened| opened.downcast_ref()).expect("main opened it")
    }
}

const FEW: usize = 1_000;
/// What they touch is more than the processor's second cache holds.
const MANY: usize = 1 << 16;
