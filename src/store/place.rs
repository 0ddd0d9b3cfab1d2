//! Where a database is: a path, or a URL of PostgreSQL.
//!
//! `cli` parses options with it.
//! Invariant: what it shows of a URL has neither user nor password.

use std::fmt;
use std::path::PathBuf;

use super::types::StoreError;

/// The place of a database.
#[derive(Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// An SQLite file.
    File(PathBuf),
    /// PostgreSQL, by its URL.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl StorePlace {
    /// Parses a path or a URL.
    ///
    /// # Errors
    /// If it is a URL of something else, or this build has no PostgreSQL.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => {
                super::postgres::check(text)?;
                Ok(Self::Postgres(text.to_owned()))
            }
            #[cfg(not(feature = "postgres"))]
            Some("postgres" | "postgresql") => Err(StoreError::Place(
                "this manada was built without PostgreSQL; expected the path of a file".to_owned(),
            )),
            Some("sqlite" | "file") => Err(StoreError::Place(
                "expected the path of a file, without a scheme, or postgres://…".to_owned(),
            )),
            Some(_) => Err(StoreError::Place(
                "unknown kind of database; expected the path of a file, or \
                 postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                    .to_owned(),
            )),
            None if text.is_empty() => {
                Err(StoreError::Place("expected the path of a file, or postgres://…".to_owned()))
            }
            None => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

#[cfg(feature = "postgres")]
impl StorePlace {
    /// The TCP ports of the servers; none for a file.
    pub fn ports(&self) -> Vec<u16> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Postgres(url) => super::postgres::ports(url),
        }
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => f.write_str(&super::postgres::shown(url)),
        }
    }
}

impl fmt::Debug for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorePlace({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_paths_or_urls_of_postgresql() {
        let file = StorePlace::parse("a/history.db").unwrap();
        assert_eq!(file, StorePlace::File("a/history.db".into()));
        for text in ["", "mysql://me:hunter2@db/x", "sqlite:///a.db", "https://db/"] {
            let error = StorePlace::parse(text).unwrap_err().to_string();
            assert!(error.contains("expected the path of a file"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn passwords_of_urls_are_never_shown() {
        for (text, shown) in [
            ("postgres://me:hunter2@db.example:5433/runs", "postgres://db.example:5433/runs"),
            ("postgresql://me:hunter2@a,b/runs", "postgres://a,b/runs"),
            ("postgres://me:hunter2@db/runs?sslmode=require", "postgres://db/runs"),
        ] {
            let place = StorePlace::parse(text).unwrap();
            assert_eq!(place.to_string(), shown);
            assert!(!format!("{place:?}").contains("hunter2"));
        }
        for text in ["postgres://me:hunter2@db/runs?sslmode=hunter2", "postgres://me:hunter2@db:x/"]
        {
            let error = StorePlace::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.contains("expected"), "{error}");
        }
    }
}
