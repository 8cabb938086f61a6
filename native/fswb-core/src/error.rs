//! The errors of the core: which operation, on which path, with which errno.

use std::fmt;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. No variant is ever swallowed: only `ENOENT` and `ENOTDIR` may be turned into "absent" by a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A system call failed.
    System {
        /// The system call, as its manual page is named.
        operation: &'static str,
        /// The path it was asked for, relative to the root where there is one.
        path: Vec<u8>,
        /// The errno it returned.
        errno: i32,
    },
    /// An archive breaks the rules of its format or of this project.
    Archive {
        /// Offset of the header in the uncompressed stream, in bytes.
        offset: u64,
        /// The member's path as the archive spells it.
        path: Vec<u8>,
        /// What is wrong and, where there is one, the way out.
        reason: String,
    },
    /// A saved baseline cannot be used.
    Index {
        /// The file.
        path: Vec<u8>,
        /// What is wrong with it.
        reason: String,
    },
    /// Something in a root file system or a build context cannot be represented or is not allowed.
    Refused {
        /// The path in question.
        path: Vec<u8>,
        /// Why, and what to do.
        reason: String,
    },
}

impl Error {
    /// A failed system call.
    pub fn system(
        operation: &'static str,
        path: impl AsRef<[u8]>,
        errno: rustix::io::Errno,
    ) -> Self {
        Self::System {
            operation,
            path: path.as_ref().to_vec(),
            errno: errno.raw_os_error(),
        }
    }

    /// A failed call of the standard library, which hides the system call's name.
    pub fn io(operation: &'static str, path: impl AsRef<[u8]>, error: &std::io::Error) -> Self {
        Self::System {
            operation,
            path: path.as_ref().to_vec(),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        }
    }

    /// Something that is not allowed or cannot be represented.
    pub fn refused(path: impl AsRef<[u8]>, reason: impl Into<String>) -> Self {
        Self::Refused {
            path: path.as_ref().to_vec(),
            reason: reason.into(),
        }
    }

    /// Whether the path does not exist: `ENOENT` or `ENOTDIR`, and nothing else.
    pub fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::System {
                errno: libc::ENOENT | libc::ENOTDIR,
                ..
            }
        )
    }

    /// Whether a symbolic link is where none is followed (`ELOOP`).
    pub fn is_link(&self) -> bool {
        matches!(
            self,
            Self::System {
                errno: libc::ELOOP,
                ..
            }
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System {
                operation,
                path,
                errno,
            } => {
                let cause = std::io::Error::from_raw_os_error(*errno);
                write!(f, "{operation} {}: {cause}", path.escape_ascii())
            }
            Self::Archive {
                offset,
                path,
                reason,
            } => {
                write!(
                    f,
                    "archive member {} at byte {offset}: {reason}",
                    excerpt(path)
                )
            }
            Self::Index { path, reason } => write!(f, "baseline {}: {reason}", path.escape_ascii()),
            Self::Refused { path, reason } => write!(f, "{}: {reason}", path.escape_ascii()),
        }
    }
}

impl std::error::Error for Error {}

/// Bytes that an archive gave, for a message of one line: names in it may have a megabyte.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const MOST: usize = 300;
    match bytes.len().checked_sub(MOST) {
        None | Some(0) => bytes.escape_ascii().to_string(),
        Some(more) => format!("{}... ({more} bytes more)", bytes[..MOST].escape_ascii()),
    }
}

/// Names the operation and path of a failed system call.
pub trait Context<T> {
    /// Turns an errno into an [`Error`].
    fn during(self, operation: &'static str, path: impl AsRef<[u8]>) -> Result<T>;
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn during(self, operation: &'static str, path: impl AsRef<[u8]>) -> Result<T> {
        self.map_err(|errno| Error::system(operation, path, errno))
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn during(self, operation: &'static str, path: impl AsRef<[u8]>) -> Result<T> {
        self.map_err(|error| Error::io(operation, path, &error))
    }
}

/// `None` where the path does not exist; every other error stays one.
pub fn present<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}
