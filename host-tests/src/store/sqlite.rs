//! A store in an SQLite file, with the table and the settings of Spin's `key-value-spin` backend.
//!
//! Journal mode and synchronisation keep SQLite's defaults, as in Spin: a write is on the disk when
//! it returns, and costs the same as on Spin.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::{KeyValue, StoreResult, Swap, incremented};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (
    store TEXT NOT NULL,
    key   TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (store, key)
)";
const GET: &str = "SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2";
const KEYS: &str = "SELECT key FROM spin_key_value WHERE store = ?1";
const UPSERT: &str = "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
    ON CONFLICT (store, key) DO UPDATE SET value = ?3";
const DELETE: &str = "DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2";
const SWAP: &str =
    "UPDATE spin_key_value SET value = ?4 WHERE store = ?1 AND key = ?2 AND value = ?3";

/// A store in the file `runnel.db` of a folder.
#[derive(Debug)]
pub struct Sqlite {
    file: PathBuf,
    label: String,
    connection: Mutex<Connection>,
}

/// Creates the file if it is missing, and lets only its owner read and write it: it contains every event.
/// SQLite gives its journal the same permissions.
#[cfg(unix)]
fn restrict_to_owner(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

    const OWNER_ONLY: u32 = 0o600;
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true).mode(OWNER_ONLY);
    let file = options.open(file)?;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o777 != OWNER_ONLY {
        permissions.set_mode(OWNER_ONLY);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn restrict_to_owner(_: &Path) -> std::io::Result<()> {
    Ok(())
}

impl Sqlite {
    /// Opens the store `label` in `folder`, and creates both if they do not exist.
    ///
    /// # Errors
    /// Fails if the folder cannot be created or written to, or if the file is not a database or is
    /// locked by another process. The message names the path.
    pub fn open(folder: &Path, label: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| {
            format!("cannot create the folder {} for the data", folder.display())
        })?;
        // SQLite opens a read-only file and fails only at the first write, for which it creates its
        // journal in the folder. So check now that the folder is writable.
        let probe = folder.join(format!(".write-probe-{}", std::process::id()));
        std::fs::write(&probe, b"")
            .and_then(|()| std::fs::remove_file(&probe))
            .with_context(|| format!("cannot write to the folder {}", folder.display()))?;
        let file = folder.join("runnel.db");
        restrict_to_owner(&file)
            .with_context(|| format!("cannot restrict the access to {}", file.display()))?;
        let connection = Connection::open(&file)
            .and_then(|connection| {
                connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLE}; COMMIT;"))?;
                Ok(connection)
            })
            .with_context(|| {
                format!(
                    "cannot open the database {} (is another process busy with it?)",
                    file.display()
                )
            })?;
        Ok(Self {
            file,
            label: label.to_owned(),
            connection: Mutex::new(connection),
        })
    }

    /// Returns the path of the database file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Runs `work` on the connection without blocking other tasks of the runtime.
    fn with<R>(&self, work: impl FnOnce(&mut Connection) -> StoreResult<R>) -> StoreResult<R> {
        let locked = || {
            let mut connection = self
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        };
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(locked),
            // A runtime of one thread has no other thread for its tasks.
            _ => locked(),
        }
    }

    fn in_transaction<R>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> StoreResult<R>,
    ) -> StoreResult<R> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    fn read(&self, connection: &Connection, key: &str) -> StoreResult<Option<Vec<u8>>> {
        let value = connection
            .prepare_cached(GET)?
            .query_row([self.label.as_str(), key], |row| row.get(0))
            .optional()?;
        Ok(value)
    }

    fn write(&self, connection: &Connection, key: &str, value: &[u8]) -> StoreResult<()> {
        connection
            .prepare_cached(UPSERT)?
            .execute(params![self.label, key, value])?;
        Ok(())
    }

    fn remove(&self, connection: &Connection, key: &str) -> StoreResult<()> {
        connection
            .prepare_cached(DELETE)?
            .execute([self.label.as_str(), key])?;
        Ok(())
    }
}

#[async_trait]
impl KeyValue for Sqlite {
    async fn get(&self, key: &str) -> StoreResult<Option<Vec<u8>>> {
        self.with(|connection| self.read(connection, key))
    }

    async fn set(&self, key: &str, value: &[u8]) -> StoreResult<()> {
        self.with(|connection| self.write(connection, key, value))
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.with(|connection| self.remove(connection, key))
    }

    async fn exists(&self, key: &str) -> StoreResult<bool> {
        Ok(self.get(key).await?.is_some())
    }

    async fn get_keys(&self) -> StoreResult<Vec<String>> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(KEYS)?;
            let keys = statement.query_map([&self.label], |row| row.get(0))?;
            Ok(keys.collect::<Result<_, _>>()?)
        })
    }

    async fn increment(&self, key: &str, delta: i64) -> StoreResult<i64> {
        self.in_transaction(|transaction| {
            let stored = self.read(transaction, key)?;
            let (sum, encoded) = incremented(stored.as_deref(), delta)?;
            self.write(transaction, key, &encoded)?;
            Ok(sum)
        })
    }

    async fn swap(&self, key: &str, seen: Option<&[u8]>, value: &[u8]) -> StoreResult<Swap> {
        self.with(|connection| {
            let Some(seen) = seen else {
                self.write(connection, key, value)?;
                return Ok(Swap::Done);
            };
            let changed = connection
                .prepare_cached(SWAP)?
                .execute(params![self.label, key, seen, value])?;
            Ok(if changed == 1 { Swap::Done } else { Swap::Lost })
        })
    }

    async fn get_many(&self, keys: &[String]) -> StoreResult<Vec<(String, Vec<u8>)>> {
        self.with(|connection| {
            let mut pairs = Vec::new();
            for key in keys {
                if let Some(value) = self.read(connection, key)? {
                    pairs.push((key.clone(), value));
                }
            }
            Ok(pairs)
        })
    }

    async fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> StoreResult<()> {
        self.in_transaction(|transaction| {
            pairs
                .iter()
                .try_for_each(|(key, value)| self.write(transaction, key, value))
        })
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<()> {
        self.in_transaction(|transaction| {
            keys.iter()
                .try_for_each(|key| self.remove(transaction, key))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn written_data_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let nested = folder.path().join("a/b");
        let store = Sqlite::open(&nested, "default").unwrap();
        store.set("k", b"v").await.unwrap();
        drop(store);
        let store = Sqlite::open(&nested, "default").unwrap();
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"v");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_database_even_if_it_was_readable_before() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
        let file = Sqlite::open(folder.path(), "a").unwrap().file().to_owned();
        assert_eq!(mode(&file), 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        drop(Sqlite::open(folder.path(), "a").unwrap());
        assert_eq!(mode(&file), 0o600);
    }

    #[tokio::test]
    async fn labels_are_isolated_from_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let a = Sqlite::open(folder.path(), "a").unwrap();
        let b = Sqlite::open(folder.path(), "b").unwrap();
        a.set("k", b"v").await.unwrap();
        assert_eq!(b.get("k").await.unwrap(), None);
        assert!(b.get_keys().await.unwrap().is_empty());
    }

    #[test]
    fn the_table_and_journal_mode_are_those_of_spin() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(folder.path(), "default").unwrap();
        let connection = Connection::open(store.file()).unwrap();
        let columns: Vec<String> = connection
            .prepare("SELECT name FROM pragma_table_info('spin_key_value')")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(columns, ["store", "key", "value"]);
        let mode: String = connection
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "delete");
    }

    #[test]
    fn an_unusable_folder_or_database_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "in the way").unwrap();
        let error = format!("{:#}", Sqlite::open(&file, "default").unwrap_err());
        assert!(error.contains(&file.display().to_string()), "{error}");

        std::fs::write(folder.path().join("runnel.db"), vec![7; 4096]).unwrap();
        let error = format!("{:#}", Sqlite::open(folder.path(), "default").unwrap_err());
        assert!(error.contains("runnel.db"), "{error}");
        assert!(error.contains("not a database"), "{error}");
    }
}
