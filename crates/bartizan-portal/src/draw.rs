//! What is drawn by lot from the operating system: octets, and text that people read out and type.

/// Draws secret octets.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets)?;
    Ok(octets)
}

/// Draws so many groups of five characters that nobody mistakes for each other, 24 bits each.
pub(crate) fn random_groups(groups: usize) -> Result<String, getrandom::Error> {
    let mut text = String::new();
    let mut drawn = 0;
    while drawn < GROUP * groups {
        let [octet] = random::<1>()?;
        // Only as many values as the alphabet divides evenly, so that no character is likelier.
        let Some(character) = (octet < 240).then(|| ALPHABET.get(usize::from(octet) % 30)) else {
            continue;
        };
        if drawn != 0 && drawn % GROUP == 0 {
            text.push('-');
        }
        text.extend(character.map(|character| char::from(*character)));
        drawn += 1;
    }
    Ok(text)
}

/// Characters between two dashes.
pub(crate) const GROUP: usize = 5;
/// 30 characters; without I, L, O, U, 0 and 1.
const ALPHABET: &[u8; 30] = b"ABCDEFGHJKMNPQRSTVWXYZ23456789";
