//! Recovery: an identity that is 24 words on paper (`spec/keyring.md`, "Recovery").

use std::fmt;
use std::str::FromStr;

use bip39::{Language, Mnemonic};
use bulla_seal::{SealError, Secret, SigningKey, derive};
use zeroize::{Zeroize, Zeroizing};

use crate::Identity;

/// How many words there are.
pub const RECOVERY_WORDS: usize = 24;

/// Longest text that words are read from, in bytes.
const MAX_TEXT_LEN: usize = 4_096;

const ENCRYPTION_LABEL: &str = "bulla/recovery/encryption/v1";
const SIGNING_LABEL: &str = "bulla/recovery/signing/v1";

/// 24 words that a recovery identity is made from: 256 random bits and a checksum of 8 (BIP-39, English word list).
///
/// # Security
/// Whoever has the words has the identity. They are for paper, and for no machine that does not need them now.
///
/// # Examples
/// ```
/// use bulla_keyring::RecoveryWords;
///
/// let words = RecoveryWords::generate()?;
/// let on_paper = words.expose_words();
/// let again: RecoveryWords = on_paper.parse()?;
/// assert_eq!(again.identity()?.fingerprint(), words.identity()?.fingerprint());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RecoveryWords(Secret<32>);

impl RecoveryWords {
    /// Draws new words.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        Ok(Self(Secret::random()?))
    }

    /// Returns the identity that the words stand for, always the same.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn identity(&self) -> Result<Identity, SealError> {
        let encryption = derive(self.0.expose(), ENCRYPTION_LABEL, &[])?;
        let signing = SigningKey::from_seed(derive(self.0.expose(), SIGNING_LABEL, &[])?)?;
        Identity::from_seeds(encryption, signing)
    }

    /// Writes the words, with a space between each two.
    ///
    /// # Security
    /// The one way to the words: whoever calls it answers for every copy.
    #[must_use]
    pub fn expose_words(&self) -> Zeroizing<String> {
        // Reserved at once, so that no copy is left behind by growing: no word is longer than 8 letters.
        let mut words = Zeroizing::new(String::with_capacity(RECOVERY_WORDS * 9));
        // Cannot fail: 32 bytes are an entropy of the standard.
        if let Ok(mnemonic) = Mnemonic::from_entropy_in(Language::English, self.0.expose()) {
            for word in mnemonic.words() {
                if !words.is_empty() {
                    words.push(' ');
                }
                words.push_str(word);
            }
        }
        words
    }
}

impl FromStr for RecoveryWords {
    type Err = ParseRecoveryWordsError;

    /// Reads the words, in small or capital letters, with any white space around them.
    fn from_str(text: &str) -> Result<Self, ParseRecoveryWordsError> {
        if text.len() > MAX_TEXT_LEN {
            return Err(ParseRecoveryWordsError::TooLong);
        }
        let count = text.split_whitespace().count();
        if count != RECOVERY_WORDS {
            return Err(ParseRecoveryWordsError::Count(count));
        }
        let mut lower = Zeroizing::new(String::with_capacity(text.len()));
        lower.push_str(text);
        lower.make_ascii_lowercase();
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &lower).map_err(|error| match error {
            bip39::Error::UnknownWord(at) => ParseRecoveryWordsError::Unknown(at + 1),
            _ => ParseRecoveryWordsError::Checksum,
        })?;
        let (mut entropy, len) = mnemonic.to_entropy_array();
        let secret = entropy.get(..len).and_then(Secret::from_slice);
        entropy.zeroize();
        secret.map(Self).ok_or(ParseRecoveryWordsError::Checksum)
    }
}

impl fmt::Debug for RecoveryWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryWords(..)")
    }
}

/// Why a text holds no recovery words. No word is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRecoveryWordsError {
    /// Longer than any words.
    #[error("recovery words have at most {MAX_TEXT_LEN} bytes")]
    TooLong,
    /// Too few, or too many.
    #[error("there are {RECOVERY_WORDS} recovery words, these are {0}")]
    Count(usize),
    /// A word that is not in the list, by its place, counted from 1.
    #[error("word {0} is not in the list of recovery words; look at its spelling")]
    Unknown(usize),
    /// Words of the list, but not those of a recovery identity.
    #[error("the checksum does not agree: two words may have changed places, or one may be another of the list")]
    Checksum,
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// Entropy and words as BIP-39 publishes them; seeds as an HKDF of another hand derives them from the entropy.
    const KNOWN: [(u8, &str, &str, &str); 4] = [
        (
            0x00,
            "abandon*23 art",
            "bb4058e1d6968069ab116d9f3f66e6f96b2b6839a02db1f667981ddf5d680587",
            "428ebdeb4ea97febfa0996168995716b7a0308efd46d5cf151a6ca4ab3aea198",
        ),
        (
            0x7f,
            "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title",
            "a0617fc93829ef042a5da047a2cc31e0981e6f15aa6a9717c68fb45fa65875ed",
            "365c34bfa8ae8e244527724ecbd9d757bf1428b0495bdb0d69bf6a1c07204f18",
        ),
        (
            0x80,
            "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
            "dc3a1f09be9d7f4958692226fe06091c76e3b79b5c0fa061b0169832c3110054",
            "38262ac65853d59c03e62b4dc014f1ba0d0383157278f1f7e3e6bd3f6d942712",
        ),
        (
            0xff,
            "zoo*23 vote",
            "4ddf680bfe8b749262e460f883f3ac793074ff2d2b98f7771e338552e8394aba",
            "d68a7db6a6664c684a0141f09a6c22671a931c040eaee72385c84833c9e05729",
        ),
    ];

    fn expanded(words: &str) -> String {
        words
            .split(' ')
            .flat_map(|word| {
                let (word, times) = word.split_once('*').unwrap_or((word, "1"));
                std::iter::repeat_n(word, times.parse().unwrap())
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn words_and_seeds_are_those_of_others() {
        for (byte, words, encryption, signing) in KNOWN {
            let words = expanded(words);
            let made = RecoveryWords(Secret::build(|out| out.fill(byte)));
            assert_eq!(*made.expose_words(), words);
            let read: RecoveryWords = words.parse().unwrap();
            assert_eq!(read.0, made.0);
            let identity = read.identity().unwrap();
            assert_eq!(HEXLOWER.encode(identity.seed().expose()), encryption);
            assert_eq!(HEXLOWER.encode(identity.signing().seed().expose()), signing);
        }
    }

    #[test]
    fn words_are_read_as_people_write_them() {
        let words = RecoveryWords::generate().unwrap();
        let exposed = words.expose_words();
        let spread = exposed.to_uppercase().replace(' ', " \t\n  ");
        let read: RecoveryWords = format!("\n {spread}  \n").parse().unwrap();
        assert_eq!(read.0, words.0);
        assert_ne!(RecoveryWords::generate().unwrap().0, words.0);
        assert_eq!(format!("{words:?}"), "RecoveryWords(..)");
    }

    #[test]
    fn a_wrong_word_is_named_by_its_place_and_not_shown() {
        let words = RecoveryWords(Secret::build(|out| out.fill(0x80))).expose_words();
        let list: Vec<&str> = words.split(' ').collect();
        for at in 0..RECOVERY_WORDS {
            let mut wrong = list.clone();
            wrong[at] = "hunter2";
            let refused = wrong.join(" ").parse::<RecoveryWords>().unwrap_err();
            assert_eq!(refused, ParseRecoveryWordsError::Unknown(at + 1));
            assert!(!format!("{refused} {refused:?}").contains("hunter2"));
        }
        let mut swapped = list.clone();
        swapped.swap(0, 1);
        let refused = swapped.join(" ").parse::<RecoveryWords>().unwrap_err();
        assert_eq!(refused, ParseRecoveryWordsError::Checksum);
        for count in [0, 12, 23, 25] {
            let text = list.iter().cycle().take(count).copied().collect::<Vec<_>>().join(" ");
            assert_eq!(text.parse::<RecoveryWords>().unwrap_err(), ParseRecoveryWordsError::Count(count));
        }
        assert_eq!(" ".repeat(4_097).parse::<RecoveryWords>().unwrap_err(), ParseRecoveryWordsError::TooLong);
    }
}
