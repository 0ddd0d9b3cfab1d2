//! The sources that `--monitor` names: `pid N`, `prometheus URL QUERY`.
//!
//! `cli` parses them, `monitors` reads them.
//! Invariant: a parsed source is well-formed; whether it exists is checked when the run begins.

/// A source of metrics of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonitorSource {
    /// A process on this machine: CPU, memory, descriptors, threads.
    Pid(u32),
    /// The value of an instant query, once a second.
    Prometheus {
        /// The address of the server: `http://127.0.0.1:9090`.
        url: String,
        /// A query in PromQL that gives one value.
        query: String,
    },
}

/// The most sources.
const MOST: usize = 16;

impl MonitorSource {
    /// Parses the arguments of all `--monitor` flags together: each begins with its kind.
    ///
    /// # Errors
    /// The argument that is wrong, and what was expected.
    pub fn parse(words: &[String]) -> Result<Vec<Self>, String> {
        const EXPECTED: &str = "expected `--watch pid N` or `--watch prometheus URL QUERY`";
        let (mut all, mut words) = (Vec::new(), words.iter());
        while let Some(word) = words.next() {
            all.push(match (word.as_str(), words.next()) {
                ("pid", Some(pid)) => Self::Pid(
                    pid.parse().map_err(|_| format!("`{pid}` is no process number: {EXPECTED}"))?,
                ),
                ("prometheus", Some(url)) => {
                    let query = words.next().ok_or(format!("no query for {url}: {EXPECTED}"))?;
                    if !url.starts_with("http://") {
                        return Err(format!("`{url}` is no http:// address: {EXPECTED}"));
                    }
                    let url = url.trim_end_matches('/').to_owned();
                    Self::Prometheus { url, query: query.clone() }
                }
                _ => return Err(format!("`{word}` cannot be watched: {EXPECTED}")),
            });
        }
        if all.len() > MOST {
            return Err(format!("{} things to watch: expected at most {MOST}", all.len()));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_what_is_watched() {
        let parse = |words: &str| {
            let words: Vec<String> = words.split('|').map(str::to_owned).collect();
            MonitorSource::parse(&words)
        };
        let prometheus =
            MonitorSource::Prometheus { url: "http://h:9090".into(), query: "sum(up)".into() };
        let both = parse("pid|7|prometheus|http://h:9090/|sum(up)");
        assert_eq!(both, Ok(vec![MonitorSource::Pid(7), prometheus]));
        for (words, says) in [
            ("pid|x", "`x` is no process number"),
            ("pid", "`pid` cannot be watched"),
            ("prometheus|http://h", "no query for http://h"),
            ("prometheus|h:9090|up", "`h:9090` is no http:// address"),
            ("cpu|7", "`cpu` cannot be watched"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(says) && error.contains("expected `--watch pid N`"), "{error}");
        }
        assert!(parse(&["pid|7"; 17].join("|")).unwrap_err().contains("at most 16"));
    }
}
