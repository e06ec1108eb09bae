//! The functions that cross, in C's manner, and all unsafe code of this crate.
//!
//! # What the app promises
//! - Pointers with a length point at that many octets, and a length of zero at anything.
//! - A device is used after [`bartizan_start`] gave it and not after [`bartizan_stop`] took it.
//! - Its functions may be called on a thread of the engine's, one call at a time, until [`bartizan_stop`] returns;
//!   the context stays valid as long.

#![expect(unsafe_code, reason = "pointers from Swift have no safe form")]

use std::ffi::{c_int, c_void};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use bartizan_host::{Attest, Attested};

use crate::device::Running;
use crate::http::{AppHttp, Reply};

/// Octets that the other side lends for the time of a call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Octets {
    /// Where they start.
    pub start: *const u8,
    /// How many they are.
    pub length: usize,
}

/// Octets that the other side lets be written to for the time of a call.
#[repr(C)]
pub struct Room {
    /// Where it starts.
    pub start: *mut u8,
    /// How many octets there is room for.
    pub length: usize,
}

/// The app's HTTP: gets its context, the JSON of a [`Head`](crate::http::Head), a body and where to give what comes by
/// [`bartizan_reply`]. Returns once the answer is whole (`true`) or will not be.
pub type HttpFunction = extern "C" fn(*mut c_void, Octets, Octets, *mut Reply<'_>) -> bool;

/// The app's App Attest: gets its context, the 32 octets that the hash of the client's data is to be, and where to give what
/// comes by [`bartizan_attested`]. Has a new key attested, and returns whether it was.
pub type AttestFunction = extern "C" fn(*mut c_void, Octets, *mut Attested) -> bool;

/// Starts a device over a utun, which is duplicated, with the JSON of a [`Start`](crate::device::Start). Without
/// `attest` (null) nobody vouches for its key when it enrolls.
///
/// Returns null if it cannot, and writes why into `problem`: UTF-8 with a zero at the end, empty if it could.
///
/// # Safety
/// See the [module](self).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bartizan_start(
    utun: c_int,
    start: Octets,
    http: HttpFunction,
    attest: Option<AttestFunction>,
    context: *mut c_void,
    problem: Room,
) -> *mut Running {
    // SAFETY: the app keeps its descriptor open during this call; the octets are as promised.
    let (fd, start) = unsafe { (BorrowedFd::borrow_raw(utun), start.as_slice()) };
    let context = Context(context);
    let http = AppHttp(move |head: &[u8], body: &[u8], reply: &mut Reply<'_>| {
        let Context(context) = context.whole();
        http(context, Octets::of(head), Octets::of(body), reply)
    });
    let attest = attest.map(|attest| Box::new(AppAttest { attest, context }) as Box<dyn Attest>);
    let started = fd
        .try_clone_to_owned()
        .map_err(anyhow::Error::from)
        .and_then(|utun| Running::start(start, utun, Box::new(http), attest));
    let (device, said) = match started {
        Ok(running) => (Box::into_raw(Box::new(running)), String::new()),
        Err(error) => (std::ptr::null_mut(), format!("{error:#}")),
    };
    // SAFETY: the room is as promised.
    unsafe { problem.write_text(&said) };
    device
}

/// Gives what the portal answered: its status, `Retry-After` in seconds or zero, and a further piece of the body, which
/// may be empty. Returns whether to go on.
///
/// # Safety
/// See the [module](self); `reply` is what the app's HTTP function was called with, and that call has not returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bartizan_reply(
    reply: *mut Reply<'_>,
    status: u16,
    retry_after_s: u32,
    piece: Octets,
) -> bool {
    // SAFETY: as promised; the engine does not touch the reply during the app's call.
    let (reply, piece) = unsafe { (&mut *reply, piece.as_slice()) };
    let retry_after = (0 < retry_after_s).then(|| Duration::from_secs(retry_after_s.into()));
    reply.take(status, retry_after, piece)
}

/// Gives what Apple vouched for: the octets of the key's name, which Apple's text says in base64, and the attestation object.
///
/// # Safety
/// See the [module](self); `attested` is what the app's function was called with, and that call has not returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bartizan_attested(
    attested: *mut Attested,
    key_id: Octets,
    object: Octets,
) {
    // SAFETY: as promised; the engine does not touch it during the app's call.
    unsafe {
        (*attested).key_id = key_id.as_slice().to_vec();
        (*attested).object = object.as_slice().to_vec();
    }
}

/// Writes how the device is as JSON; returns how many octets that takes, which may be more than there is room for.
///
/// # Safety
/// See the [module](self).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bartizan_status(device: *const Running, room: Room) -> usize {
    // SAFETY: the device and the room are as promised.
    unsafe {
        let status = (*device).status();
        room.write(&status);
        status.len()
    }
}

/// Stops a device, waits until it has and frees it. Returns whether it had run well until then.
///
/// # Safety
/// See the [module](self).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bartizan_stop(device: *mut Running) -> bool {
    // SAFETY: `bartizan_start` made this pointer of a box, and the app gives it back once.
    let running = unsafe { Box::from_raw(device) };
    running.stop().is_ok()
}

impl Octets {
    fn of(octets: &[u8]) -> Self {
        Self { start: octets.as_ptr(), length: octets.len() }
    }

    /// # Safety
    /// The octets stay and do not change for as long as the slice is used.
    unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.length == 0 || self.start.is_null() {
            return &[];
        }
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

impl Room {
    /// Writes what there is room for.
    ///
    /// # Safety
    /// The room is there and nobody else reads or writes it during this call.
    unsafe fn write(&self, octets: &[u8]) {
        let length = octets.len().min(self.length);
        if !self.start.is_null() {
            // SAFETY: the caller's promise; `length` is within both, and ours is no memory of the app's.
            unsafe { std::ptr::copy_nonoverlapping(octets.as_ptr(), self.start, length) };
        }
    }

    /// Writes as many whole characters as there is room for, and a zero.
    ///
    /// # Safety
    /// As of [`Room::write`].
    unsafe fn write_text(&self, text: &str) {
        let Some(most) = self.length.checked_sub(1) else { return };
        let end = text.floor_char_boundary(most);
        let text = text.bytes().take(end).chain([0]).collect::<Vec<_>>();
        // SAFETY: the caller's promise.
        unsafe { self.write(&text) };
    }
}

/// App Attest by the app's function.
struct AppAttest {
    attest: AttestFunction,
    context: Context,
}

impl Attest for AppAttest {
    fn attest(&mut self, client_data_hash: [u8; 32]) -> Result<Attested, String> {
        let mut attested = Attested::default();
        let Context(context) = self.context;
        if (self.attest)(context, Octets::of(&client_data_hash), &raw mut attested) {
            Ok(attested)
        } else {
            Err("the app got no attestation".to_owned())
        }
    }
}

/// The app's pointer, carried to the thread that calls its function.
#[derive(Clone, Copy)]
struct Context(*mut c_void);

// SAFETY: the app promises that its function may be called on another thread.
unsafe impl Send for Context {}

impl Context {
    /// So that a closure captures the whole and not its pointer.
    fn whole(self) -> Self {
        self
    }
}
