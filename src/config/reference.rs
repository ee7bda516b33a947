//! `docs/configuration.md`, generated: key, variable, type, default and meaning of everything that can be set.

use serde_json::Value;

use super::schema::{Key, keys, properties, resolve};

const HEAD: &str = "# Configuration

<!-- Generated from the settings types; `UPDATE_SCHEMAS=1 cargo test` writes it anew. -->

The worker reads a YAML file (`--config FILE`) over its defaults, and environment variables over the file.
Every key is also a variable: `kafka.bootstrap_servers` is `ALERT_RESPONDER__KAFKA__BOOTSTRAP_SERVERS`, two underscores between levels.
A variable that is set to nothing counts as not set.
A list may be written with commas in a variable, a map as YAML in one line (`{socket.keepalive.enable: true}`).

Unknown keys are refused, in the file and in the environment.
`alert-responder config print` shows the merged result and where each value came from; secrets are never shown.
Secrets are best given as files: each key that ends in `_file` names one.

Editors check the file as you write when it begins with this line:

```yaml
# yaml-language-server: $schema=https://raw.githubusercontent.com/alert-responder/alert-responder/main/schemas/config.schema.json
```
";

/// The whole page.
pub(super) fn markdown(schema: &Value) -> String {
    let mut page = HEAD.to_owned();
    let keys = keys(schema);
    section(&mut page, "Top level", "", keys.iter().filter(|key| !key.path.contains('.')));
    for (name, property) in properties(schema).into_iter().flatten() {
        let (inner, _) = resolve(property);
        if properties(inner).is_none() {
            continue;
        }
        let meaning = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let prefix = format!("{name}.");
        section(&mut page, &format!("`{name}`"), meaning, keys.iter().filter(|key| key.path.starts_with(&prefix)));
    }
    page
}

fn section<'k>(page: &mut String, title: &str, meaning: &str, keys: impl Iterator<Item = &'k Key>) {
    let mut add = |text: String| page.push_str(&text);
    add(format!("\n## {title}\n"));
    if !meaning.is_empty() {
        add(format!("\n{}\n", one_line(meaning)));
    }
    for key in keys {
        let default = key.default.as_ref().filter(|default| !default.is_null());
        let default = default.map_or_else(|| "not set".to_owned(), |default| format!("`{default}`"));
        add(format!(
            "\n### `{}`\n\n{}\n\n- Variable: `{}`\n- Type: {}{}\n- Default: {default}\n",
            key.path,
            one_line(&key.meaning),
            key.environment_name(),
            key.kind,
            if key.secret { ", secret" } else { "" },
        ));
    }
}

/// A doc comment as one paragraph per blank-line-separated block.
fn one_line(text: &str) -> String {
    text.split("\n\n")
        .map(|block| block.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n\n")
}
