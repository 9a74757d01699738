//! What parses is written the same way: credentials, names, patterns, pins, ranges of addresses and signatures of machines. A pattern without
//! stars stands for its own name and no other.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use bulla_guard::access::{
    AccessPin, Cidr, CredentialId, MachineSignature, Pattern, RequestPath, Resource, SecretText, UserName,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(secret) = SecretText::parse(text) {
        assert_eq!(secret.expose(), text);
        assert!(!format!("{secret:?} {secret}").contains(text));
    }
    written::<UserName>(text);
    written::<CredentialId>(text);
    written::<RequestPath>(text);
    written::<AccessPin>(text);
    written::<MachineSignature>(text);
    if let Ok(range) = text.parse::<Cidr>() {
        assert_eq!(range.to_string().parse(), Ok(range));
    }
    let (pattern, resource) = (text.parse::<Pattern>(), text.parse::<Resource>());
    if let Ok(resource) = &resource {
        assert_eq!(resource.as_str(), text);
        assert!(pattern.as_ref().is_ok_and(|pattern| pattern.matches(resource)));
    }
    if let Some((pattern, resource)) = text.split_once('\n')
        && let (Ok(pattern), Ok(resource)) = (pattern.parse::<Pattern>(), resource.parse::<Resource>())
    {
        let matches = pattern.matches(&resource);
        assert!(!matches || pattern.as_str().contains('*') || pattern.as_str() == resource.as_str());
    }
});

fn written<T: FromStr + Display>(text: &str) {
    if let Ok(parsed) = text.parse::<T>() {
        assert_eq!(parsed.to_string(), text);
    }
}
