//! Octets that are known at each place of a stream, so that what arrives can be checked as it comes.
//!
//! Blocks of odd length start with their number and go on with noise: what is lost, repeated or moved shows.

use std::io::{ErrorKind, Read, Write};

/// A place in the stream, from which it goes on.
pub(crate) struct Octets {
    block: Vec<u8>,
    number: u64,
    at: usize,
}

impl Octets {
    pub(crate) fn new() -> Self {
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        });
        let mut octets = Self { block: noise.take(BLOCK).collect(), number: 0, at: 0 };
        octets.stamp();
        octets
    }

    /// Writes octets until there were enough, or the other side takes no more.
    pub(crate) fn write(&mut self, to: &mut impl Write, length: u64) -> std::io::Result<()> {
        let mut left = length;
        while 0 < left {
            let part = self.part(left);
            match to.write(part) {
                Ok(taken) => {
                    self.advance(taken);
                    left -= taken as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads so many octets, or to the end, and checks them; returns how many came.
    #[track_caller]
    pub(crate) fn check(&mut self, from: &mut impl Read, length: u64) -> u64 {
        let mut octets = vec![0; BLOCK];
        let mut left = length;
        while 0 < left {
            let most = self.part(left).len();
            let came = from.read(&mut octets[..most]).unwrap();
            if came == 0 {
                break;
            }
            let place = length - left;
            assert!(
                octets[..came] == self.part(left)[..came],
                "other octets than were sent, after {place}"
            );
            self.advance(came);
            left -= came as u64;
        }
        length - left
    }

    fn part(&self, most: u64) -> &[u8] {
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(self.block.len() - self.at);
        &self.block[self.at..self.at + length]
    }

    fn advance(&mut self, octets: usize) {
        self.at += octets;
        if self.at == self.block.len() {
            self.at = 0;
            self.number += 1;
            self.stamp();
        }
    }

    fn stamp(&mut self) {
        self.block[..8].copy_from_slice(&self.number.to_be_bytes());
    }
}

const BLOCK: usize = 65_521;
