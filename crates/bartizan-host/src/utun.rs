//! Packets by a utun, the tunnel interface of Apple's systems.
//!
//! A utun is a datagram socket. Each record is one IP packet behind four octets that name its address family in network
//! order, as [`AF_INET`] and [`AF_INET6`] are numbered there, whatever they are elsewhere; so this also runs, and is
//! tested, over a socket pair on Linux.
//!
//! # What it does not do
//! - Batches in one system call. `recvmsg_x` and `sendmsg_x` would move up to 256 records a call, but they are private:
//!   their header ships with no SDK, they may change, and an app that names them risks to be refused. With them, the
//!   kernel would wake the interface once a batch instead of once a packet. Here a turn reads up to a bound of packets,
//!   one call each, and the kernel is told to keep more than one packet ready.
//! - Offload: a utun knows no segmentation and no checksums but the whole packet's own.
//!
//! # Invariants
//! - No record ends the tunnel. What is no IP packet is given as an empty one, which is counted where malformed ones are.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size;

/// A utun that gives and takes packets without waiting.
#[derive(Debug)]
pub struct Utun {
    fd: OwnedFd,
}

impl Utun {
    /// Takes a utun's descriptor into use. Give a duplicate: the system closes its own.
    ///
    /// # Errors
    /// The descriptor is no socket, or cannot be made non-blocking.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        // Without these it is slower and drops sooner, which is better than no protection.
        if let Err(error) = set_socket_recv_buffer_size(&fd, RECEIVE_BUFFER) {
            tracing::warn!(error = %error, "cannot set the receive buffer of the utun");
        }
        // A write to a utun that is gone must say so, not end the app; Rust's own start, which sees to that, is not run.
        #[cfg(target_vendor = "apple")]
        rustix::net::sockopt::set_socket_nosigpipe(&fd, true)?;
        #[cfg(target_vendor = "apple")]
        if let Err(error) = option::set_max_pending_packets(&fd, MAX_PENDING_PACKETS) {
            tracing::warn!(error = %error, "cannot let packets wait in the utun");
        }
        Ok(Self { fd })
    }

    /// Gives up to `most` packets that are there, each in `buffer`; returns whether there may be more.
    ///
    /// # Errors
    /// The utun is gone.
    pub fn read_batch(
        &self,
        buffer: &mut [u8],
        most: usize,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        for _ in 0..most {
            let mut family = [0; FAMILY_LEN];
            let parts = &mut [IoSliceMut::new(&mut family), IoSliceMut::new(buffer)];
            match rustix::io::readv(&self.fd, parts) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    let is_ip = matches!(u32::from_be_bytes(family), AF_INET | AF_INET6);
                    let packet = length.checked_sub(FAMILY_LEN).filter(|_| is_ip);
                    each(buffer.get(..packet.unwrap_or(0)).unwrap_or_default());
                }
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Writes one packet, which may lie in up to seven pieces.
    ///
    /// # Errors
    /// `WouldBlock` or `ENOBUFS` for a full queue, `InvalidInput` for what is no IP packet.
    pub fn write(&self, packet: &[IoSlice<'_>]) -> io::Result<()> {
        let first = packet.iter().find_map(|piece| piece.first());
        let family = match first.map(|octet| octet >> 4) {
            Some(4) => AF_INET.to_be_bytes(),
            Some(6) => AF_INET6.to_be_bytes(),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let mut pieces = [IoSlice::new(&[]); 1 + MAX_PIECES];
        let Some((head, rest)) = pieces.split_first_mut() else { return Ok(()) };
        *head = IoSlice::new(&family);
        let Some(rest) = rest.get_mut(..packet.len()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        rest.copy_from_slice(packet);
        // A datagram socket takes all or nothing.
        rustix::io::writev(&self.fd, &pieces).map(drop).map_err(io::Error::from)
    }
}

impl AsFd for Utun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Utun {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// What only Apple's systems have. The only unsafe code of this crate.
#[cfg(target_vendor = "apple")]
pub(crate) mod option {
    #![expect(unsafe_code, reason = "no safe wrapper knows these socket options")]

    use std::io;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

    /// Lets so many packets wait to be read. The system's own bound is one, which makes the sender wait for the reader
    /// at every packet.
    pub(super) fn set_max_pending_packets(utun: &OwnedFd, packets: u32) -> io::Result<()> {
        set(utun.as_fd(), SYSPROTO_CONTROL, UTUN_OPT_MAX_PENDING_PACKETS, packets)
    }

    /// Has a socket send packets whole or not at all.
    pub(crate) fn set_dont_fragment(
        socket: BorrowedFd<'_>,
        is_v6: bool,
        is_set: bool,
    ) -> io::Result<()> {
        let (level, name) = if is_v6 {
            (libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG)
        } else {
            (libc::IPPROTO_IP, libc::IP_DONTFRAG)
        };
        set(socket, level, name, is_set.into())
    }

    fn set(
        socket: BorrowedFd<'_>,
        level: libc::c_int,
        name: libc::c_int,
        value: u32,
    ) -> io::Result<()> {
        // SAFETY: the descriptor is open as long as it is borrowed; the value is a `u32` on this stack frame, its true
        // size is given, and the kernel only reads it.
        let result = unsafe {
            libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), VALUE_LEN)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// From `sys/sys_domain.h`.
    const SYSPROTO_CONTROL: libc::c_int = 2;
    /// From `net/if_utun.h`; takes a `u_int32_t` that is not zero.
    const UTUN_OPT_MAX_PENDING_PACKETS: libc::c_int = 16;
    const VALUE_LEN: libc::socklen_t = 4;
}

/// `AF_INET` of Apple's systems.
pub const AF_INET: u32 = 2;
/// `AF_INET6` of Apple's systems.
pub const AF_INET6: u32 = 30;
const FAMILY_LEN: usize = 4;
const MAX_PIECES: usize = 7;
/// Half a turn's packets: they are read before the sender has filled the queue again.
#[cfg(target_vendor = "apple")]
const MAX_PENDING_PACKETS: u32 = 128;
/// 128 packets of 1,500 octets take a 2 KiB cluster and a 256-octet buffer each: 288 KiB. Twice that.
const RECEIVE_BUFFER: usize = 576 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn pair() -> (Utun, UnixDatagram) {
        let (ours, system) = UnixDatagram::pair().unwrap();
        system.set_nonblocking(true).unwrap();
        (Utun::new(ours.into()).unwrap(), system)
    }

    fn read(utun: &Utun, most: usize) -> (Vec<Vec<u8>>, bool) {
        let mut packets = Vec::new();
        let mut buffer = [0; 64];
        let more = utun.read_batch(&mut buffer, most, |packet| packets.push(packet.to_vec()));
        (packets, more.unwrap())
    }

    #[track_caller]
    fn check_read(record: &[u8], packet: &[u8]) {
        let (utun, system) = pair();
        system.send(record).unwrap();
        assert_eq!(read(&utun, 8), (vec![packet.to_vec()], false));
    }

    #[test]
    fn a_record_is_read_as_its_packet() {
        check_read(&[0, 0, 0, 2, 0x45, 1, 2], &[0x45, 1, 2]);
        check_read(&[0, 0, 0, 30, 0x60, 1, 2], &[0x60, 1, 2]);
    }

    #[test]
    fn what_is_no_ip_packet_is_read_as_an_empty_one() {
        for record in [
            &[0, 0, 0, 2][..],
            &[0, 0, 0],
            &[0],
            // Linux's number of IPv6, the host's octet order, and Ethernet.
            &[0, 0, 0, 10, 0x60],
            &[2, 0, 0, 0, 0x45],
            &[0, 0, 0, 18, 0x45],
        ] {
            check_read(record, &[]);
        }
    }

    #[test]
    fn a_packet_beyond_the_buffer_is_cut() {
        let mut record = vec![0, 0, 0, 2];
        record.resize(200, 0x45);
        check_read(&record, &[0x45; 64]);
    }

    #[test]
    fn a_batch_has_an_end_and_says_whether_there_may_be_more() {
        let (utun, system) = pair();
        assert_eq!(read(&utun, 2), (vec![], false));
        for octet in 0..3 {
            system.send(&[0, 0, 0, 2, 0x45, octet]).unwrap();
        }
        assert_eq!(read(&utun, 2), (vec![vec![0x45, 0], vec![0x45, 1]], true));
        assert_eq!(read(&utun, 2), (vec![vec![0x45, 2]], false));
    }

    #[test]
    fn a_utun_that_is_gone_says_so() {
        let (ours, system) = socket_pair();
        drop(system);
        let utun = Utun::new(ours).unwrap();
        let gone = utun.read_batch(&mut [0; 64], 1, |_| {}).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_packet_is_written_behind_its_family() {
        let (utun, system) = pair();
        let mut buffer = [0; 64];
        let mut written = |pieces: &[&[u8]]| {
            let pieces: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            utun.write(&pieces).map_err(|error| error.kind())?;
            let length = system.recv(&mut buffer).unwrap();
            Ok::<_, io::ErrorKind>(buffer[..length].to_vec())
        };
        assert_eq!(written(&[&[0x45, 1], &[2]]), Ok(vec![0, 0, 0, 2, 0x45, 1, 2]));
        assert_eq!(written(&[&[], &[0x60], &[1]]), Ok(vec![0, 0, 0, 30, 0x60, 1]));
        assert_eq!(written(&[&[0x45][..]; 7]), Ok([vec![0, 0, 0, 2], vec![0x45; 7]].concat()));
        assert_eq!(written(&[&[0x45][..]; 8]), Err(io::ErrorKind::InvalidInput));
        assert_eq!(written(&[&[0x50]]), Err(io::ErrorKind::InvalidInput));
        assert_eq!(written(&[]), Err(io::ErrorKind::InvalidInput));
    }

    #[test]
    fn a_full_queue_does_not_wait() {
        let (utun, _system) = pair();
        let full = (0..100_000).find_map(|_| utun.write(&[IoSlice::new(&[0x45; 1_500])]).err());
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
    }

    /// A pair whose end is told, unlike that of two datagram sockets.
    fn socket_pair() -> (OwnedFd, OwnedFd) {
        rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            rustix::net::SocketFlags::empty(),
            None,
        )
        .unwrap()
    }
}
