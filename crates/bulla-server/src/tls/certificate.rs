use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{OctetString, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::peer::ClientCertificate;

/// `id-at-commonName` of RFC 5280.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Most names of a certificate that are looked at.
const MAX_NAMES: usize = 64;

/// Reads what a certificate says, after it was verified.
pub(super) fn parse(der: &[u8]) -> Option<ClientCertificate> {
    let certificate = Certificate::from_der(der).ok()?.tbs_certificate;
    let mut parsed = ClientCertificate {
        common_name: certificate.subject.0.iter().flat_map(|name| name.0.iter()).find_map(common_name),
        serial: HEXLOWER.encode(certificate.serial_number.as_bytes()),
        issuer: certificate.issuer.to_string(),
        fingerprint: HEXLOWER.encode(digest(&SHA256, der).as_ref()),
        ..ClientCertificate::default()
    };
    let names = certificate.get::<SubjectAltName>().ok()?.map(|(_, names)| names.0).unwrap_or_default();
    for name in names.into_iter().take(MAX_NAMES) {
        match name {
            GeneralName::DnsName(name) => parsed.dns_names.push(name.to_string()),
            GeneralName::UniformResourceIdentifier(name) => parsed.uris.push(name.to_string()),
            GeneralName::Rfc822Name(name) => parsed.mail_addresses.push(name.to_string()),
            GeneralName::IpAddress(address) => parsed.addresses.extend(ip_address(&address)),
            _ => {}
        }
    }
    Some(parsed)
}

/// Reads when a certificate expires, in seconds since 1970.
pub(super) fn expires(der: &[u8]) -> Option<u64> {
    let validity = Certificate::from_der(der).ok()?.tbs_certificate.validity;
    Some(validity.not_after.to_unix_duration().as_secs())
}

fn common_name(attribute: &AttributeTypeAndValue) -> Option<String> {
    if attribute.oid != COMMON_NAME {
        return None;
    }
    match attribute.value.tag() {
        Tag::Utf8String => attribute.value.decode_as::<Utf8StringRef<'_>>().ok().map(|text| text.to_string()),
        Tag::PrintableString => attribute.value.decode_as::<PrintableStringRef<'_>>().ok().map(|text| text.to_string()),
        Tag::TeletexString => attribute.value.decode_as::<TeletexStringRef<'_>>().ok().map(|text| text.to_string()),
        _ => None,
    }
}

fn ip_address(bytes: &OctetString) -> Option<IpAddr> {
    let bytes = bytes.as_bytes();
    let short = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    short.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
