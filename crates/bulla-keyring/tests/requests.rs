//! Requests to be let in: replaced, altered, cut off, meant for another project.

use bulla_backend::Timestamp;
use bulla_keyring::{Capability, Identity, KeyringError, ParseRequestError, Request};
use bulla_seal::ProjectId;
use data_encoding::BASE64URL_NOPAD;

use crate::team::{Team, identity};

const PREFIX: &str = "bulla-request:v1:";

fn request(identity: &Identity) -> Request {
    Request::create(identity, "laptop".parse().unwrap(), Some(ProjectId([7; 32])), Timestamp(5)).unwrap()
}

#[test]
fn a_request_says_again_what_it_was_made_with() {
    let identity = identity();
    for project in [None, Some(ProjectId([7; 32]))] {
        let made = Request::create(&identity, "laptop".parse().unwrap(), project, Timestamp(5)).unwrap();
        let text = made.to_string();
        assert!(text.starts_with(PREFIX) && text.len() < 2_048 && !text.contains('='), "{text}");
        for text in [text.clone(), format!("\n  {text}\r\n")] {
            let read: Request = text.parse().unwrap();
            assert_eq!(read, made);
            assert_eq!((read.fingerprint(), read.project()), (identity.fingerprint(), project));
            assert_eq!((read.name().as_str(), read.time()), ("laptop", Timestamp(5)));
        }
    }
}

#[test]
fn a_request_altered_in_transit_is_refused() {
    let text = request(&identity()).to_string();
    let bytes = BASE64URL_NOPAD.decode(text.strip_prefix(PREFIX).unwrap().as_bytes()).unwrap();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let altered = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&altered));
        let refused = altered.parse::<Request>().unwrap_err();
        assert!(matches!(refused, ParseRequestError::Malformed | ParseRequestError::Signature), "byte {at}: {refused}");
    }
    for end in 0..text.len() {
        assert!(text[..end].parse::<Request>().is_err(), "cut at {end}");
    }
    let more = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&[&bytes[..], &[0]].concat()));
    assert_eq!(more.parse::<Request>(), Err(ParseRequestError::Malformed));
    assert_eq!(text.replace(":v1:", ":v2:").parse::<Request>(), Err(ParseRequestError::NotARequest));
    assert_eq!("A".repeat(5_000).parse::<Request>(), Err(ParseRequestError::TooLong));
}

#[test]
fn another_name_or_project_under_the_same_signature_is_refused() {
    let identity = identity();
    let made = request(&identity);
    let others = [
        Request::create(&identity, "server".parse().unwrap(), made.project(), made.time()).unwrap(),
        Request::create(&identity, made.name().clone(), None, made.time()).unwrap(),
        Request::create(&identity, made.name().clone(), made.project(), Timestamp(6)).unwrap(),
    ];
    let decode = |request: &Request| {
        BASE64URL_NOPAD.decode(request.to_string().strip_prefix(PREFIX).unwrap().as_bytes()).unwrap()
    };
    for other in others {
        let (mut theirs, ours) = (decode(&other), decode(&made));
        let body = theirs.len() - 64;
        theirs[body..].copy_from_slice(&ours[ours.len() - 64..]);
        let spliced = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&theirs));
        assert_eq!(spliced.parse::<Request>(), Err(ParseRequestError::Signature));
    }
}

#[test]
fn a_replaced_request_is_noticed_by_its_fingerprint() {
    let (laptop, attacker) = (identity(), identity());
    // As well signed as any, and with the same name.
    let replaced: Request = request(&attacker).to_string().parse().unwrap();
    let refused = replaced.expect_fingerprint(laptop.fingerprint()).unwrap_err();
    assert_eq!((refused.expected, refused.found), (laptop.fingerprint(), attacker.fingerprint()));
    assert!(refused.to_string().contains("may have been replaced"), "{refused}");
    assert_eq!(request(&laptop).expect_fingerprint(laptop.fingerprint()), Ok(()));
}

#[test]
fn a_request_to_another_project_is_refused() {
    let (team, founder) = Team::begin();
    let laptop = identity();
    let authorise = |request: &Request| pollster::block_on(founder.authorise(request, Capability::Use));
    let refused = authorise(&request(&laptop)).unwrap_err();
    assert_eq!(refused.code(), "other_project");
    assert!(matches!(refused, KeyringError::RequestElsewhere { project, .. } if project == team.project), "{refused}");
    assert_eq!(team.length(), 3);
    assert!(team.copies(laptop.fingerprint()).is_empty(), "nothing is wrapped to it");
    let unbound = Request::create(&laptop, "laptop".parse().unwrap(), None, Timestamp(5)).unwrap();
    assert!(authorise(&unbound).unwrap().done().is_some());
}
