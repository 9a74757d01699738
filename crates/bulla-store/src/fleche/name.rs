use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

/// The name of a file in a fleche directory: 32 bytes, written as 64 lower-case hex digits.
///
/// fleche makes it of the Python object by an unkeyed digest of its own. It confirms a guess at the object, and different objects
/// may have the same; so it is a name here, and never taken for the identity of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlecheName(pub [u8; 32]);

/// A text that names no file of a fleche directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file of fleche is named by 64 of the characters 0 to 9 and a to f")]
pub struct ParseFlecheNameError;

impl FromStr for FlecheName {
    type Err = ParseFlecheNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| ParseFlecheNameError)?;
        bytes.try_into().map(Self).map_err(|_| ParseFlecheNameError)
    }
}

impl fmt::Display for FlecheName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_digests_are_names() {
        let name = "0123456789abcdef".repeat(4);
        assert_eq!(name.parse::<FlecheName>().unwrap().to_string(), name);
        let refused = [
            String::new(),
            name[1..].to_owned(),
            format!("{name}0"),
            format!("{name}00"),
            name.to_uppercase(),
            format!("../{}", &name[3..]),
            format!("/{}", &name[1..]),
            format!("{}\n", &name[1..]),
            format!("{}é", &name[2..]),
            "../".repeat(30),
        ];
        for text in refused {
            assert_eq!(text.parse::<FlecheName>(), Err(ParseFlecheNameError), "{text}");
        }
    }
}
