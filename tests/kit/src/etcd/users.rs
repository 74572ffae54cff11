//! Users of a cluster, where its members ask for them. Knows no process.

use serde_json::json;

use super::keys::prefix_range;
use super::{Cluster, value_of};

impl Cluster {
    /// Has members ask for users: `root`, with this password, who is the test, and another one, who may read
    /// and write keys with a prefix.
    pub fn ask_for_users(&mut self, password: &str, user: [&str; 2], prefix: &str) {
        let (key, end) = prefix_range(prefix);
        let [name, secret] = user;
        let calls = [
            ("user/add", json!({ "name": "root", "password": password })),
            ("user/grant", json!({ "user": "root", "role": "root" })),
            ("user/add", json!({ "name": name, "password": secret })),
            ("role/add", json!({ "name": name })),
            (
                "role/grant",
                json!({
                    "name": name,
                    "perm": { "permType": "READWRITE", "key": key, "range_end": end },
                }),
            ),
            ("user/grant", json!({ "user": name, "role": name })),
            ("enable", json!({})),
        ];
        for (resource, body) in calls {
            let response = self.call(0, &format!("/v3/auth/{resource}"), &body.to_string());
            let response = response.expect("a response");
            assert!(response.contains(" 200 "), "{resource}: {response}");
        }
        self.user = Some(["root", password].map(str::to_owned));
    }

    pub(super) fn token(&self, index: usize, [name, password]: &[String; 2]) -> Option<String> {
        let body = json!({ "name": name, "password": password }).to_string();
        let response = self.ask(index, "/v3/auth/authenticate", &body, None)?;
        value_of("\"token\":\"", &response)
    }
}
