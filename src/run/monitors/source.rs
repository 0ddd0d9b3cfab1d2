//! The sources that `--monitor` names: `pid N`, `prometheus URL QUERY`.
//!
//! `cli` parses them, `monitors` reads them.
//! Invariant: a parsed source is well-formed; whether it exists is checked when the run begins.

use super::error::MonitorError;

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

/// Maximum monitors.
const MOST: usize = 16;

impl MonitorSource {
    /// Parses the arguments of all `--monitor` flags together: each begins with its kind.
    ///
    /// # Errors
    /// If an argument is wrong; the text says what was expected.
    pub fn parse(words: &[String]) -> Result<Vec<Self>, MonitorError> {
        let (mut all, mut words) = (Vec::new(), words.iter());
        while let Some(word) = words.next() {
            all.push(match (word.as_str(), words.next()) {
                ("pid", Some(pid)) => {
                    Self::Pid(pid.parse().map_err(|_| MonitorError::NoPid(pid.clone()))?)
                }
                ("prometheus", Some(url)) => {
                    let query = words.next().ok_or_else(|| MonitorError::NoQuery(url.clone()))?;
                    if !url.starts_with("http://") {
                        return Err(MonitorError::NoUrl(url.clone()));
                    }
                    let url = url.trim_end_matches('/').to_owned();
                    Self::Prometheus { url, query: query.clone() }
                }
                _ => return Err(MonitorError::NoMonitor(word.clone())),
            });
        }
        if all.len() > MOST {
            return Err(MonitorError::TooMany { count: all.len(), most: MOST });
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
            ("pid|x", "`x` is not a process ID"),
            ("pid", "unknown monitor `pid`"),
            ("prometheus|http://h", "no query after http://h"),
            ("prometheus|h:9090|up", "`h:9090` is not an http:// URL"),
            ("cpu|7", "unknown monitor `cpu`"),
            ("promethues|http://h|up", "; did you mean `prometheus`?"),
        ] {
            let error = parse(words).unwrap_err().to_string();
            assert!(
                error.contains(says) && error.contains("expected `--monitor pid N`"),
                "{error}"
            );
        }
        assert!(parse(&["pid|7"; 17].join("|")).unwrap_err().to_string().contains("at most 16"));
    }
}
