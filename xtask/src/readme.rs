//! The two commands of README.md, read from it verbatim.

use std::path::Path;

/// The first two shell code blocks in README.md: the main job, and the tests.
pub(crate) fn commands(root: &Path) -> Result<[String; 2], String> {
    let text = std::fs::read_to_string(root.join("README.md"))
        .map_err(|error| format!("README.md: {error}"))?;
    parse(&text).ok_or_else(|| "README.md has no two shell commands".to_owned())
}

/// The content of the first two `sh` blocks, each one command.
fn parse(text: &str) -> Option<[String; 2]> {
    let mut blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    Some([blocks.next()?.trim().to_owned(), blocks.next()?.trim().to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_shell_blocks_count() {
        let text = "# T\n```sh\na \\\n  b\n```\n```rust\nx\n```\n```sh\nc\n```\n```sh\nd\n```\n";
        assert_eq!(parse(text), Some(["a \\\n  b".to_owned(), "c".to_owned()]));
        assert_eq!(parse("```sh\na\n```"), None);
    }
}
