//! What vouches for the device's key when it enrolls, where its system can: Apple's App Attest, by the app.
//!
//! # What it does not do
//! - Insist: without an attestation the device asks to be let in all the same, and the portal's rule decides.
//! - Make the key that Apple vouches for, or keep it: the app does, a new one for each attestation.

use bartizan_contract::attestation::{Attestation, ChallengeReply, client_data_hash};
use bartizan_contract::keys::Jwk;
use bartizan_contract::path;
use bartizan_engine::sync::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::SigningKey;

use crate::portal::{Called, PortalClient, Trouble};

/// Has Apple vouch for something.
pub trait Attest: Send {
    /// Has a new key attested (`DCAppAttestService.attestKey`) with this as the hash of the client's data.
    ///
    /// # Errors
    /// Why that cannot be had now, for the log.
    fn attest(&mut self, client_data_hash: [u8; 32]) -> Result<Attested, String>;
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attested {
    /// The octets that Apple's name of the key says in base64: SHA-256 of its public key.
    pub key_id: Vec<u8>,
    /// The attestation object as it came.
    pub object: Vec<u8>,
}

impl PortalClient {
    /// Has the device's key vouched for; `None` where nobody can, or where the portal takes no attestations.
    pub(crate) fn attestation(
        &mut self,
        key: &SigningKey,
        portal_key: &[u8; 16],
    ) -> Called<Option<Attestation>> {
        if self.attest.is_none() {
            return Ok(None);
        }
        let asked = self.call("POST", path::ATTESTATION_CHALLENGE, None::<&()>, key, None);
        let ChallengeReply { challenge, .. } = match asked {
            Ok(reply) => reply,
            // There is no such thing at this portal.
            Err(Trouble { failure: Failure::Unusable, .. }) => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let device_key = Jwk::from_device_key(key.verifying_key());
        let hash = client_data_hash(&challenge, &device_key, portal_key);
        match self.attest.as_mut().map(|attest| attest.attest(hash)) {
            Some(Ok(Attested { key_id, object })) => Ok(Some(Attestation {
                challenge,
                key_id: URL_SAFE_NO_PAD.encode(key_id),
                object: URL_SAFE_NO_PAD.encode(object),
            })),
            Some(Err(reason)) => {
                tracing::warn!(reason, "the system does not vouch for the device's key");
                Ok(None)
            }
            None => Ok(None),
        }
    }
}
