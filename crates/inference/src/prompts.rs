//! What a model wants to read before a text: `config_sentence_transformers.json`.

use std::path::Path;

use serde::Deserialize;

use crate::config::read_json;
use crate::error::Result;

/// Named beginnings of texts, such as "query: ".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    /// Name and text, in the order of the file.
    named: Vec<(String, String)>,
    default: Option<String>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    prompts: serde_json::Map<String, serde_json::Value>,
    default_prompt_name: Option<String>,
}

impl Prompts {
    /// Those of a model folder, if it has any.
    pub(crate) fn read(folder: &Path) -> Result<Prompts> {
        let path = folder.join("config_sentence_transformers.json");
        let Some(File { prompts, default_prompt_name }) = read_json(&path)? else {
            return Ok(Prompts::default());
        };
        // A prompt may be null, which is none.
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let named = prompts.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        Ok(Prompts { named, default: default_prompt_name })
    }

    /// All of them, name and text.
    pub fn all(&self) -> &[(String, String)] {
        &self.named
    }

    /// The name of the prompt of texts of which nothing is said.
    pub fn default_name(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// The prompt of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// The prompt of texts of which nothing is said; empty where there is none.
    pub fn of_any(&self) -> &str {
        self.default.as_deref().and_then(|name| self.get(name)).unwrap_or_default()
    }

    /// The prompt of questions; that of any text, where the model tells no difference.
    pub fn of_queries(&self) -> &str {
        self.get("query").unwrap_or_else(|| self.of_any())
    }

    /// The prompt of what is searched; that of any text, where the model tells no difference.
    pub fn of_documents(&self) -> &str {
        ["document", "passage"]
            .into_iter()
            .find_map(|name| self.get(name))
            .unwrap_or_else(|| self.of_any())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompts(content: &str) -> Prompts {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config_sentence_transformers.json"), content).unwrap();
        Prompts::read(folder.path()).unwrap()
    }

    #[test]
    fn roles_fall_back_to_the_default() {
        let none = Prompts::read(Path::new("no such folder")).unwrap();
        assert_eq!((none.of_any(), none.of_queries(), none.of_documents()), ("", "", ""));

        let e5 = prompts(r#"{"prompts": {"query": "query: ", "passage": "passage: "}}"#);
        let roles = (e5.of_any(), e5.of_queries(), e5.of_documents());
        assert_eq!(roles, ("", "query: ", "passage: "));

        let one = prompts(r#"{"prompts": {"x": "X "}, "default_prompt_name": "x"}"#);
        assert_eq!((one.of_any(), one.of_queries(), one.of_documents()), ("X ", "X ", "X "));

        let null = prompts(r#"{"prompts": {"query": "Q ", "document": null}}"#);
        assert_eq!((null.of_queries(), null.of_documents()), ("Q ", ""));
    }
}
