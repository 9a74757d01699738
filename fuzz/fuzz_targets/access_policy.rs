//! A policy that parses is the same when it is parsed again, and says what it says in both of its forms.
#![no_main]

use bulla_guard::access::{Capability, Policy, RequestPath};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(policy) = text.parse::<Policy>() else { return };
    assert_eq!(policy.text(), text);
    assert_eq!(text.parse(), Ok(policy.clone()));
    // What it says of paths, written in the plainest way, says the same in either form.
    let (mut hcl, mut json) = (String::new(), Vec::new());
    for (path, capabilities) in policy.paths() {
        let names: Vec<String> = capabilities.iter().map(|one| format!("\"{}\"", Capability::name(one))).collect();
        let (path, names) = (path.replace('"', "\\\""), names.join(", "));
        hcl.push_str(&format!("path \"{path}\" {{ capabilities = [{names}] }}\n"));
        json.push(format!("{{\"{path}\": {{\"capabilities\": [{names}]}}}}"));
        if let Ok(path) = path.parse::<RequestPath>() {
            assert_eq!(path.as_str().parse(), Ok(path));
        }
    }
    let json = format!("{{\"path\": [{}]}}", json.join(", "));
    for written in [hcl, json].iter().filter(|written| written.len() <= bulla_guard::access::MAX_POLICY_LEN) {
        let again: Policy = written.parse().unwrap_or_else(|error| panic!("{error}: {written}"));
        assert!(again.paths().eq(policy.paths()), "{written}");
    }
});
